"""A run that version 0.1.0 left unfinished or finished is still reported, resumed and evaluated.

`run_of_0_1_0` was trained on `phantom:120 --max_side=128` for two epochs with configs/resnet.py, an
image_size of 16 and a width of 1. Its checkpoints are those of step 18, in the second epoch, and of
step 21, the end. TensorBoard's events and the report were removed.
"""

import csv
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer import train
from trainer.config import recipe
from trainer.report import run_page
from trainer.training.trained_model import TrainedModel

pytestmark = pytest.mark.usefixtures("no_charts")
KEPT = Path(__file__).with_name("run_of_0_1_0")


@pytest.fixture
def older(tmp_path: Path) -> epath.Path:
    """A copy of the finished run."""
    return epath.Path(shutil.copytree(KEPT, tmp_path / "run"))


@pytest.fixture
def config(older: epath.Path, phantoms: epath.Path) -> ConfigDict:
    """The run's own config, with the data where they are now."""
    config = recipe.read(str(older / "config.json"))
    config.data.path, config.profile.flops = str(phantoms), False
    return config


def scores(workdir: Path) -> np.ndarray:
    rows = csv.DictReader((workdir / "evaluation/test.csv").read_text().splitlines())
    return np.array([float(row["score"]) for row in rows])


def test_finished_run_of_0_1_0_is_reported_and_evaluated(older: epath.Path, config: ConfigDict):
    assert "PNEUMONIA" in run_page.write(older).read_text()
    assert TrainedModel.load(older).labels == ["PNEUMONIA"]
    train.train_and_evaluate(config, older)
    np.testing.assert_allclose(scores(older), scores(KEPT), atol=1e-4)


def test_unfinished_run_of_0_1_0_is_resumed_and_ends_as_it_did(
    older: epath.Path, config: ConfigDict, capsys: pytest.CaptureFixture
):
    (older / "checkpoints/step-000000021-epoch-000002").rmtree()
    (older / "evaluation").rmtree()
    train.train_and_evaluate(config, older)
    assert "going on at step 18" in capsys.readouterr().out
    np.testing.assert_allclose(scores(older), scores(KEPT), atol=1e-3)
    assert (older / "report.html").exists()


def test_field_that_went_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        config = recipe.read(str(KEPT / "config.json"))
    assert "time_share" not in config.summaries
    assert [r for r in caplog.messages if "time_share" in r] == caplog.messages
