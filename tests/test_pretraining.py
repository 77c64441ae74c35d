"""A network is pretrained on images without labels, resumed, and begun with by another run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer import models, train
from trainer.checkpoint import checkpoint
from trainer.config import schema
from trainer.data import sources
from trainer.data.prepare import data_summary, preparation
from trainer.data.sources.options import Options
from trainer.system import json_files
from trainer.system.errors import UsageError
from trainer.training import initial_weights, run_checks, run_listing
from trainer.training.run_files import PRETRAINED, RunFiles
from trainer.training.state import create_state

TIMINGS = ("seconds", "images_per_second", "input_wait")


def unlabelled(folder: epath.Path) -> None:
    phantoms = sources.open_source("phantom:50")
    for number, record in enumerate(phantoms.records()):
        file = folder / "files" / f"p{number}" / f"{number}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(phantoms.read(record))
    source = sources.open_source(str(folder / "files"), Options(unlabelled=True))
    preparation.prepare(source, folder / "data", max_side=64, all_test=False, workers=1)


@pytest.fixture(scope="module")
def images(made_once: Callable[..., epath.Path]) -> epath.Path:
    return made_once("unlabelled", unlabelled) / "data"


@pytest.fixture(scope="module")
def new_pretraining(
    new_tiny: Callable[[], ConfigDict], images: epath.Path
) -> Callable[[], ConfigDict]:
    def new_pretraining() -> ConfigDict:
        config = new_tiny()
        config.data.path, config.loggers, config.checkpoint.keep = str(images), "terminal", 99
        config.pretrain.method, config.pretrain.projection = "simsiam", 8
        config.model.stages, config.summaries.times, config.evaluation.at_start = 1, 0, False
        config.checkpoint.result = "last"
        return config

    return new_pretraining


@pytest.fixture(scope="module")
def pretrained(
    new_pretraining: Callable[[], ConfigDict], made_once: Callable[..., epath.Path]
) -> epath.Path:
    config = new_pretraining()
    return made_once("pretrained", lambda workdir: train.train_and_evaluate(config, workdir))


def history(workdir: epath.Path) -> list[dict]:
    rows = json_files.read(workdir / "history.json", list)
    return [{k: v for k, v in (row | row.pop("train")).items() if k not in TIMINGS} for row in rows]


@pytest.mark.slow
def test_it_ends_with_weights_and_a_measure_of_each_epoch_and_is_no_run_to_be_judged(
    pretrained: epath.Path, images: epath.Path
):
    summary = json_files.read(images / "data_summary.json")
    assert summary["labels"] == [] and summary["splits"]["train"]["images"] > 30
    assert "for a pretraining alone" in data_summary.describe(summary)
    for row in history(pretrained):
        assert 0 < row["loss"] < 2 and 0 < row["validation"]["loss"] < 2
        assert row["validation"]["spread"] > 0 and row["validation"]["auc"] is None
    assert json_files.read(pretrained / PRETRAINED)["epoch"] == 2
    (listed,) = run_listing.below(pretrained)
    assert (listed.state, listed.epoch, listed.auc) == ("finished", 2, None)
    with pytest.raises(UsageError, match="is a pretraining.*--config.model.weights="):
        RunFiles(pretrained)


@pytest.mark.slow
def test_one_that_is_killed_comes_to_the_same_weights(
    pretrained: epath.Path, new_pretraining: Callable[[], ConfigDict], tmp_path: Path
):
    workdir = epath.Path(shutil.copytree(pretrained, tmp_path / "run"))
    (workdir / PRETRAINED).unlink()
    shutil.rmtree(checkpoint.complete(workdir / "checkpoints")[-1])
    train.train_and_evaluate(new_pretraining(), workdir)
    assert history(workdir) == history(pretrained)
    ours, theirs = (
        checkpoint.read(checkpoint.complete(run / "checkpoints")[-1])
        for run in (workdir, pretrained)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.tobytes() == theirs[name].tobytes(), name


@pytest.mark.slow
def test_a_supervised_run_begins_with_its_backbone_and_a_new_head(
    pretrained: epath.Path, tiny: ConfigDict, tmp_path: Path
):
    tiny.model.stages, tiny.model.weights = 1, str(pretrained)
    network = models.build(tiny.model, 32)
    before = {weight.path: weight.numpy() for weight in network.weights}
    image = np.random.default_rng(0).random((1, 32, 32, 1), np.float32)
    untrained = network(image).numpy()
    initial_weights.load(network, tiny, ["sick"])
    assert not np.array_equal(network(image), untrained)
    step, epoch = (json_files.read(pretrained / PRETRAINED)[name] for name in ("step", "epoch"))
    kept = checkpoint.read(checkpoint.path(pretrained / "checkpoints", step, epoch))
    for weight in network.weights:
        head = weight.path.startswith("logits/")
        expected = before[weight.path] if head else kept[f"averaged/{weight.path}"]
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)

    begun = epath.Path(tmp_path / "begun")
    begun.mkdir()
    (begun / "config.json").write_text((pretrained / "config.json").read_text())
    run_checks.check(tiny)
    tiny.model.weights = str(begun)
    with pytest.raises(UsageError, match="is a pretraining that is not finished"):
        run_checks.check(tiny)


@pytest.mark.slow
def test_a_pretraining_may_itself_begin_with_the_weights_of_a_run(
    finished: epath.Path, new_pretraining: Callable[[], ConfigDict]
):
    config = new_pretraining()
    config.model.weights, config.model.channels, config.model.stages = str(finished), 3, 2
    state = create_state(config, 10, 10)
    before = state.model.get_layer("predictor1").kernel.numpy()
    initial_weights.load_backbone(state.model, config)
    evaluated = json_files.read(finished / "evaluation/test.json")
    folder = checkpoint.path(finished / "checkpoints", evaluated["step"], evaluated["epoch"])
    stem = checkpoint.read(folder)["averaged/stem/kernel"]
    np.testing.assert_array_equal(state.model.get_layer("stem").kernel, stem)
    np.testing.assert_array_equal(state.model.get_layer("predictor1").kernel, before)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("augment.mixup", 0.2, "augment.mixup=0.2 mixes labels.*--config.augment.mixup=0"),
        ("train.freeze_epochs", 1, "trains the last layer alone"),
        ("summaries.times", 5, "--config.summaries.times=0"),
        ("model.views", 6, "--config.model.views=1"),
        ("train.ema", 0.0, "byol predicts what the averaged network sees"),
        ("pretrain.method", "moco", "simsiam or byol"),
    ],
)
def test_what_makes_no_sense_without_labels_is_refused(
    new_pretraining: Callable[[], ConfigDict], field: str, value: object, sentence: str
):
    config = new_pretraining()
    config.pretrain.method = "byol"
    schema.check(config)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UsageError, match=sentence):
        schema.check(config)


def test_labels_are_asked_for_where_they_are_needed(
    new_pretraining: Callable[[], ConfigDict], images: epath.Path
):
    config, summary = new_pretraining(), json_files.read(images / "data_summary.json")
    run_checks.check_data(config, summary)
    with pytest.raises(UsageError, match="radiograph tune compares .* predicts nothing"):
        run_checks.check_supervised(config, "tune")
    config.pretrain.method = ""
    run_checks.check_supervised(config, "tune")
    with pytest.raises(UsageError, match="has no labels to learn.*--config=pretrain"):
        run_checks.check_data(config, summary)
