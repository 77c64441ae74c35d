"""The whole job, as a user starts it: trains, goes on, is evaluated, and refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.alike import final_variables, history
from tests.end_to_end.conftest import AtStep, stop
from tests.forks import Forks
from trainer import train
from trainer.checkpoint import checkpoint
from trainer.config import recipe
from trainer.config.schema import default
from trainer.show import tensorboard
from trainer.system.errors import Stopped
from trainer.training import run_paths

ROOT = Path(__file__).parents[2]
LAUNCH = "from trainer.commands import launch; launch.run()"
pytestmark = pytest.mark.slow


def events(workdir: Path, part: str) -> EventAccumulator:
    return EventAccumulator(str(workdir / "tensorboard" / part), {"tensors": 0}).Reload()


def best_row(workdir: Path) -> dict:
    """Returns the epoch with the highest AUC on validation; of equal ones that of less loss."""
    return max(
        history(workdir), key=lambda row: (row["validation"]["auc"], -row["validation"]["loss"])
    )


@pytest.fixture
def unfinished(finished: epath.Path, tmp_path: Path) -> Path:
    """A copy of the finished run as it was at step 18, in the second epoch of 11 and 10 steps."""
    workdir = shutil.copytree(finished, tmp_path / "run")
    for folder in checkpoint.complete(epath.Path(workdir) / "checkpoints"):
        if checkpoint.step_and_epoch(folder)[0] > 18:
            folder.rmtree()
    return workdir


def test_a_run_says_what_it_does_and_leaves_what_the_design_names(finished: epath.Path):
    output = (finished / "stdout").read_text()
    for words in ("OneDevice on CPU:0", "2/2", "images/s", "AUC", "report.html"):
        assert words in output
    assert "scripts/tensorboard.sh" in output
    for name in (
        *(
            "config.json",
            "environment.json",
            "model.json",
            "data_summary.json",
            "history.json",
            "metrics.csv",
            "report.html",
        ),
        *("evaluation/test.json", "evaluation/test.csv", "evaluation/validation.json"),
        *("pictures/train/samples.png", "pictures/train/augmented.png"),
        *("pictures/test/errors.png", "pictures/test/explanations/examples.png"),
    ):
        assert (finished / name).stat().length > 0, name
    assert len(list((finished / "tensorboard/train/plugins/profile").glob("*/*.xplane.pb"))) == 1


def test_the_best_epoch_by_validation_auc_is_kept_and_evaluated(finished: epath.Path):
    best = best_row(finished)
    kept = checkpoint.complete(finished / "checkpoints")
    assert checkpoint.path(kept[0].parent, best["step"], best["epoch"]) in kept
    assert len(kept) in (3, 4)  # the best may be among the three newest
    for split in ("validation", "test"):
        result = json.loads((finished / f"evaluation/{split}.json").read_text())
        assert result["epoch"] == best["epoch"]
    validation = json.loads((finished / "evaluation/validation.json").read_text())
    assert validation["auc"]["value"] == pytest.approx(best["validation"]["auc"])
    assert validation["loss"] == pytest.approx(best["validation"]["loss"], rel=1e-4)


def test_tensorboard_finds_all_parts_under_the_same_tags(finished: epath.Path):
    train_tags, validation_tags, test_tags = (
        set(events(finished, part).Tags()["tensors"]) for part in ("train", "validation", "test")
    )
    names = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")
    curves = {f"metrics/{name}" for name in names}
    assert curves <= train_tags & validation_tags & test_tags
    assert train_tags >= {
        *(f"training/{n}" for n in ("learning_rate", "gradient_norm", "update_ratio")),
        *(f"speed/{n}" for n in ("images_per_second", "step_milliseconds", "input_wait")),
        *("speed/host_memory_gib", "speed/checkpoint_seconds"),
        *("radiographs/samples", "radiographs/augmented"),
        *("model", "config", "environment", "data", "custom_scalars__config__"),
    }
    shown = {
        *("results/errors", "network/explanations/examples"),
        *("network/explanations/errors", "network/filters/stem"),
        *(f"results/PNEUMONIA/{n}" for n in ("roc", "precision_recall", "calibration", "scores")),
        *("results/PNEUMONIA/confusion", "weights/stem/kernel", "outputs/01_stem"),
    }
    assert shown <= validation_tags & test_tags
    layers = [tag for tag in validation_tags if tag.startswith("network/activations/")]
    assert len(layers) == 8  # the stem, its pooling, 5 convolutions and a pooling in blocks
    assert len([tag for tag in test_tags if tag.startswith("network/activations_whole/")]) == 8
    steps = [row["step"] for row in history(finished)]
    best = [best_row(finished)["step"]]
    for tag, expected in (
        *((tag, steps) for tag in (layers[0], "weights/stem/kernel", "outputs/01_stem")),
        ("network/explanations/examples", steps),
        *((tag, best) for tag in ("results/PNEUMONIA/roc", "results/errors")),
    ):
        found = events(finished, "validation").Tensors(tag)
        assert [event.step for event in found] == expected, tag


def test_a_finished_run_is_only_evaluated_again_and_old_curves_get_their_new_tags(
    finished: epath.Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    again = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(again / "tensorboard")  # as if all were under other tags
    monkeypatch.setattr(tensorboard, "TAGS", tensorboard.TAGS + 1)
    train.train_and_evaluate(recipe.read(str(again / "config.json")), again)
    assert "1/2" not in capsys.readouterr().out
    steps = [row["step"] for row in history(finished)]
    for part, expected in {"train": steps, "validation": [0, *steps]}.items():
        found = events(again, part).Tensors("metrics/auc")
        assert [event.step for event in found] == expected
    name = "evaluation/test.json"
    assert (again / name).read_text() == (finished / name).read_text()
    for variable, value in final_variables(again).items():
        np.testing.assert_array_equal(final_variables(finished)[variable], value)


def test_a_run_goes_on_on_other_devices_and_in_another_precision(
    forks: Forks, finished: epath.Path, unfinished: Path
):
    fields = {
        "distribute.strategy": "mirrored",
        "distribute.cpu_devices": 2,
        "precision": "mixed_bfloat16",
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    config = f"--config={unfinished / 'config.json'}"
    went_on = forks.run("-m", "trainer", "train", config, f"--workdir={unfinished}", *flags)
    assert went_on.returncode == 0, went_on.stderr
    assert "Mirrored on CPU:0, CPU:1" in went_on.stdout
    assert "going on at step 18" in went_on.stdout
    ours, theirs = history(finished), history(unfinished)
    assert theirs[0] == ours[0]
    for part in ("train", "validation"):
        assert theirs[1][part]["loss"] == pytest.approx(ours[1][part]["loss"], rel=0.05)
        assert theirs[1][part]["loss"] != ours[1][part]["loss"]


@pytest.mark.timeout(240)
def test_two_workers_stop_together_where_one_is_told_to_and_are_started_again(
    forks: Forks, tiny: ConfigDict, tmp_path: Path
):
    tiny.distribute.strategy, tiny.summaries.times, tiny.train.epochs = "multi_worker", 1, 4
    tiny.model.name, tiny.data.image_size, tiny.augment = "article", 48, default().augment
    (tmp_path / "config.json").write_text(tiny.to_json())
    # Of this process the workers are children, but begin at once.
    launch = [sys.executable, "-c", f"import sys; sys.executable = {str(forks.python)!r}; {LAUNCH}"]
    launch += ["--workers=2", "--", f"--config={tmp_path}/config.json", f"--workdir={tmp_path}/run"]
    output = ""
    with subprocess.Popen(
        launch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    ) as launcher:
        overdue = threading.Timer(200, launcher.terminate)
        overdue.start()
        for line in launcher.stdout:
            output += line
            if " 1/4 " in line and "restart" not in output:
                psutil.Process(launcher.pid).children()[1].send_signal(signal.SIGTERM)
        overdue.cancel()
    assert launcher.returncode == 0, output
    stopped = dict(re.findall(r"\[worker (\d)\] stopped: by SIGTERM at step (\d+)", output))
    assert stopped.keys() == {"0", "1"} and stopped["0"] == stopped["1"]
    assert f"going on at step {stopped['0']}\n" in output
    assert [row["step"] for row in history(tmp_path / "run")] == [11, 21, 32, 42]
    parts = {file.parent.name for file in (tmp_path / "run/tensorboard").rglob("events.out.*")}
    assert parts == {"test", "train", "validation"}
    found = events(tmp_path / "run", "validation")
    shown = {"metrics/auc", "network/activations/01_conv1", "results/PNEUMONIA/roc"}
    shown |= {"network/explanations/examples"}
    assert shown <= set(found.Tags()["tensors"])
    assert [event.step for event in found.Tensors("metrics/loss")] == [0, 11, 21, 32, 42]


def test_a_users_mistake_gets_one_sentence(forks: Forks, finished: epath.Path):
    flags = (f"--config={finished / 'config.json'}", f"--workdir={finished}", "--config.seed=5")
    result = forks.run("-m", "trainer.task", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "begun with seed=0, not 5" in result.stderr


def test_deterministic_kernels_do_all_that_a_run_does(
    forks: Forks, phantoms: epath.Path, tmp_path: Path
):
    """And on a CPU, where kernels are deterministic anyway, they compute the same, as does a run
    without pictures and a count of its operations.
    """
    fields = [f"--config.data.path={phantoms}", "--config.train.epochs=1", "--config.seed=3"]
    fields += ["--config.data.image_size=48", "--config.distribute.strategy=one_device"]
    fields += ["--config.augment.jit_compile=false", "--config.model.stages=2"]
    finals = []
    for deterministic, shown in (("true", "1"), ("false", "0")):
        workdir = tmp_path / deterministic
        flags = [*fields, f"--config.train.deterministic={deterministic}", f"--workdir={workdir}"]
        flags += [f"--config.summaries.times={shown}", f"--config.profile.flops={shown}"]
        done = forks.run("-m", "trainer.task", f"--config={ROOT}/configs/demo.py", *flags)
        assert done.returncode == 0, done.stderr
        finals.append(final_variables(workdir))
    for name, array in finals[0].items():
        np.testing.assert_array_equal(array, finals[1][name], name)


def test_a_run_lies_where_vertex_ai_says_and_goes_on_there(
    tiny: ConfigDict,
    at_step: AtStep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    for name, folder in (("MODEL", "model"), ("CHECKPOINT", "checkpoints")):
        monkeypatch.setenv(f"AIP_{name}_DIR", f"{tmp_path}/{folder}/")
    monkeypatch.setenv("AIP_TENSORBOARD_LOG_DIR", f"{tmp_path}/logs/")
    paths = run_paths.run_paths(None, os.environ)
    tiny.model.name, tiny.data.image_size = "article", 48
    tiny.train.epochs, tiny.summaries.times, tiny.augment = 1, 0, default().augment
    at_step(3, stop)
    tiny.checkpoint.every_steps = 3
    with pytest.raises(Stopped):
        train.train_and_evaluate(tiny, paths.workdir, events=paths.events)
    train.train_and_evaluate(tiny, paths.workdir, events=paths.events)
    output = capsys.readouterr().out
    assert "going on at step 3" in output
    assert f"TensorBoard: scripts/tensorboard.sh {tmp_path}" in output
    found = {path.name for path in tmp_path.iterdir()}
    assert {"checkpoints", "evaluation", "logs", "report.html"} <= found
    assert not {"model", "tensorboard"} & found
    parts = {path.name for path in (tmp_path / "logs").iterdir() if path.is_dir()}
    assert parts == {"train", "validation", "test"}
