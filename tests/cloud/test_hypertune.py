"""A trial's measurements have the format of the package cloudml-hypertune."""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from trainer.cloud import hypertune

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
        [*command, "--no-binary=:all:", f"--dest={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=100,
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
def test_file_is_that_of_the_package(file: Path, package: ModuleType):
    values = [(0.5, 1), (1, 2), (0.123456789, 103)] + [(1 / (3 + n), n) for n in range(4, 110)]
    theirs, ours = package.HyperTune(), hypertune.from_environment(os.environ)
    for auc, epoch in values:
        theirs.report_hyperparameter_tuning_metric("validation_auc", auc, epoch)
        expected = file.read_text()
        file.unlink()
        ours.report(auc, epoch)
        assert file.read_text() == expected


def test_undefined_auc_is_left_out(file: Path):
    hypertune.from_environment(os.environ).report(None, 1)
    assert not file.exists()


def test_file_is_written_in_place_as_the_service_may_have_it_open(file: Path):
    trial = hypertune.from_environment(os.environ)
    trial.report(0.5, 1)
    with file.open() as opened:
        trial.report(0.75, 2)
        assert [json.loads(line)["global_step"] for line in opened] == ["1", "2"]


def test_nothing_is_reported_outside_of_a_tuning(monkeypatch: pytest.MonkeyPatch):
    for name in ("CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert hypertune.from_environment(os.environ) is None
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "2")
    trial = hypertune.from_environment(os.environ)
    assert (trial.number, str(trial.file)) == ("2", "/tmp/hypertune/output.metrics")
