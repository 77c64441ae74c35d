"""The whole job, as a user starts it: trains, is killed, goes on, is evaluated, and refuses."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.system.errors import NotFinite

ROOT = Path(__file__).parents[2]
TINY = [
    "--config.data.image_size=32",
    "--config.model.width=4",
    "--config.model.dropout=0.3",
    "--config.train.epochs=3",
    "--config.train.batch_size=8",
    "--config.distribute.strategy=one_device",
    "--config.checkpoint.every_steps=3",
]


# Runs the job with the flags that follow, and kills it at a given step: in the midst of saving a
# checkpoint, or between two.
KILLED = """
import os, signal, sys
from trainer.checkpoint import checkpoint
from trainer.commands import config_flags, program
from trainer.system import atomic
from trainer.training import step
from trainer import task

where, last_step = sys.argv.pop(1), int(sys.argv.pop(1))
write_json, make_loop = atomic.write_json, step.train_loop
saved = checkpoint.step_and_epoch

def die_at(reached):
    if reached >= last_step:
        os.kill(os.getpid(), signal.SIGKILL)

def dying_write_json(file, content):
    if file.name == checkpoint.MANIFEST:
        die_at(saved(file.parent)[0])
    write_json(file, content)

def dying_loop(strategy, state, *rest):
    loop = make_loop(strategy, state, *rest)

    def run(batches, steps):
        result = loop(batches, steps)
        die_at(int(state.step))
        return result

    return run

if where == "saving":
    atomic.write_json = dying_write_json
else:
    step.train_loop = dying_loop
program.run(task.main, config_flags.parse)
"""


def job(data: epath.Path, workdir: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "trainer.task", f"--config={ROOT}/configs/resnet.py"),
        *(f"--config.data.path={data}", f"--workdir={workdir}", *TINY, *flags),
    ]


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def run_killed(where: str, last_step: int, data: epath.Path, workdir: Path) -> None:
    flags = job(data, workdir)[3:]
    killed = run(sys.executable, "-c", KILLED, where, str(last_step), *flags)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def newest_steps_and_epochs(workdir: Path) -> tuple[int, int]:
    return checkpoint.step_and_epoch(checkpoint.newest(epath.Path(workdir) / "checkpoints"))


def final_variables(workdir: Path) -> dict[str, np.ndarray]:
    return checkpoint.read(checkpoint.newest(epath.Path(workdir) / "checkpoints"))


def validation_rank(row: dict) -> tuple[float, float]:
    return row["validation"]["auc"], -row["validation"]["loss"]


def history(workdir: Path) -> list[dict]:
    """The history without its timings."""
    rows = json.loads((workdir / "history.json").read_text())
    for row in rows:
        del row["seconds"], row["train"]["images_per_second"], row["train"]["input_wait"]
    return rows


@pytest.fixture(scope="module")
def finished(phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("finished")
    result = run(*job(phantoms, workdir, "--config.summaries.times=1000"))
    assert result.returncode == 0, result.stderr
    (workdir / "stdout").write_text(result.stdout)
    return workdir


def test_a_run_says_what_it_does_and_where_its_results_are(finished: Path):
    said = (finished / "stdout").read_text()
    for words in ("OneDevice on CPU:0", "3/3", "images/s", "AUC", "report.html"):
        assert words in said
    assert "scripts/tensorboard.sh" in said


def test_a_run_leaves_what_the_design_names(finished: Path):
    for name in (
        *("config.json", "environment.json", "data_summary.json", "history.json", "report.html"),
        *("evaluation/test.json", "evaluation/test.csv", "evaluation/validation.json"),
        *("pictures/train/samples.png", "pictures/train/augmented.png"),
        *("pictures/test/errors.png", "pictures/test/explanations/examples.png"),
    ):
        assert (finished / name).stat().st_size > 0, name
    best = max(json.loads((finished / "history.json").read_text()), key=validation_rank)
    kept = checkpoint.complete(epath.Path(finished) / "checkpoints")
    assert checkpoint.path(kept[0].parent, best["step"], best["epoch"]) in kept
    assert len(kept) in (3, 4)  # the best may be among the three newest


def test_the_best_epoch_by_validation_auc_is_the_one_evaluated(finished: Path):
    rows = json.loads((finished / "history.json").read_text())
    best = max(rows, key=validation_rank)
    for split in ("validation", "test"):
        result = json.loads((finished / f"evaluation/{split}.json").read_text())
        assert result["epoch"] == best["epoch"]
    validation = json.loads((finished / "evaluation/validation.json").read_text())
    assert validation["auc"]["value"] == pytest.approx(best["validation"]["auc"])
    assert validation["loss"] == pytest.approx(best["validation"]["loss"], rel=1e-4)


def test_tensorboard_finds_both_curves_under_the_same_tags(finished: Path):
    def events(part: str) -> EventAccumulator:
        return EventAccumulator(str(finished / "tensorboard" / part), {"tensors": 0}).Reload()

    train_tags, validation_tags, test_tags = (
        set(events(part).Tags()["tensors"]) for part in ("train", "validation", "test")
    )
    curves = {"loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity"}
    assert curves <= train_tags & validation_tags & test_tags
    assert train_tags >= {
        *(f"training/{n}" for n in ("learning_rate", "gradient_norm", "update_ratio")),
        *(f"speed/{n}" for n in ("images_per_second", "step_milliseconds", "input_wait")),
        *("speed/host_memory_gib", "speed/summaries", "checkpoint/seconds"),
        *("samples", "augmented", "model", "config", "environment", "data"),
    }
    shown = {
        *("errors", "explanations/examples", "explanations/errors", "filters/stem"),
        *(f"PNEUMONIA/{n}" for n in ("roc", "precision_recall", "calibration", "scores")),
        *("PNEUMONIA/confusion", "weights/stem/kernel", "activation_values/01_stem"),
    }
    assert shown <= validation_tags & test_tags
    layers = [tag for tag in validation_tags if tag.startswith("activations/")]
    assert len(layers) == 16  # stem, its pooling, 11 convolutions and 3 poolings in blocks
    assert len([tag for tag in test_tags if tag.startswith("activations_whole/")]) == 16
    steps = [event.step for event in events("validation").Tensors(layers[0])]
    rows = json.loads((finished / "history.json").read_text())
    assert steps == [row["step"] for row in rows]  # with time to look at all, each epoch


@pytest.mark.slow
def test_a_run_of_two_workers_is_shown_once(phantoms: epath.Path, tmp_path: Path):
    launch = (sys.executable, "-m", "trainer", "launch", "--workers=2", "--")
    flags = [flag for flag in job(phantoms, tmp_path)[3:] if "strategy" not in flag]
    result = run(*launch, *flags, "--config.train.epochs=1", "--config.summaries.times=1000")
    assert result.returncode == 0, result.stdout + result.stderr
    files = sorted((tmp_path / "tensorboard").rglob("events.out.*"))
    parts = [file.parent.name for file in files]
    assert parts == ["tensorboard", "test", "train", "validation"]
    tags = set(EventAccumulator(str(files[-1]), {"tensors": 0}).Reload().Tags()["tensors"])
    assert {"auc", "activations/01_stem", "explanations/examples", "PNEUMONIA/roc"} <= tags


def test_what_training_shows_costs_no_more_than_it_may(phantoms: epath.Path, tmp_path: Path):
    result = run(*job(phantoms, tmp_path, "--config.summaries.times=0"))
    assert result.returncode == 0, result.stderr
    found = EventAccumulator(str(tmp_path / "tensorboard/validation"), {"tensors": 0}).Reload()
    assert {tag.split("/")[0] for tag in found.Tags()["tensors"]} == {
        *("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity"),
    }
    assert not (tmp_path / "pictures").exists() and (tmp_path / "report.html").exists()


def test_the_steps_that_are_asked_for_are_traced(phantoms: epath.Path, tmp_path: Path):
    traced = ("--config.profile.steps=4,6", "--config.summaries.times=0")
    result = run(*job(phantoms, tmp_path, *traced))
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "tensorboard/train/plugins/profile").glob("*/*.xplane.pb"))) == 1


def test_a_finished_run_is_only_evaluated_again(phantoms: epath.Path, finished: Path):
    weights = final_variables(finished)
    result = json.loads((finished / "evaluation/test.json").read_text())
    again = run(*job(phantoms, finished))
    assert again.returncode == 0 and "epoch   1/3" not in again.stdout
    assert json.loads((finished / "evaluation/test.json").read_text()) == result
    for name, value in final_variables(finished).items():
        np.testing.assert_array_equal(weights[name], value)


@pytest.mark.slow
def test_a_run_killed_twice_in_mid_epoch_arrives_at_the_same_weights_bit_for_bit(
    phantoms: epath.Path, finished: Path, tmp_path: Path
):
    run_killed("saving", 15, phantoms, tmp_path)
    assert (
        checkpoint.newest(epath.Path(tmp_path) / "checkpoints").name
        == "step-000000012-epoch-000001"
    )
    run_killed("stepping", 29, phantoms, tmp_path)
    newest = newest_steps_and_epochs(tmp_path)
    assert newest in [(24, 2), (27, 2)]  # the last is written in the background
    epoch_ends = [row["step"] for row in history(finished)]
    assert epoch_ends == [11, 21, 32]  # neither kill was at one

    resumed = run(*job(phantoms, tmp_path))

    assert f"going on at step {newest[0]}" in resumed.stdout, resumed.stderr
    ours, theirs = final_variables(finished), final_variables(tmp_path)
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)
    assert history(tmp_path) == history(finished)
    scores = "evaluation/test.csv"
    assert (tmp_path / scores).read_text() == (finished / scores).read_text()


@pytest.mark.slow
def test_a_run_goes_on_on_other_devices_and_in_another_precision(
    phantoms: epath.Path, finished: Path, tmp_path: Path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    for folder in checkpoint.complete(epath.Path(workdir) / "checkpoints"):
        if checkpoint.step_and_epoch(folder)[0] > 30:
            folder.rmtree()
    two = ("--config.distribute.strategy=mirrored", "--config.distribute.cpu_devices=2")
    went_on = run(*job(phantoms, workdir, *two, "--config.precision=mixed_bfloat16"))
    assert went_on.returncode == 0, went_on.stderr
    assert "Mirrored on CPU:0, CPU:1" in went_on.stdout
    assert "going on at step 30" in went_on.stdout
    ours, theirs = history(finished), history(workdir)
    assert theirs[:2] == ours[:2]
    for part in ("train", "validation"):
        assert theirs[2][part]["loss"] == pytest.approx(ours[2][part]["loss"], rel=0.05)
        assert theirs[2][part]["loss"] != ours[2][part]["loss"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--config.train.epoch=3", "did you mean 'train.epochs'"),
        ("--config.train.epochs=none", "train.epochs='none' is not allowed"),
        ("--config.data.path=/nowhere", "trainer prepare"),
        ("--config.seed=5", "begun with seed=0, not 5"),
        ("surplus", "unexpected argument 'surplus'"),
    ],
)
def test_a_users_mistake_gets_one_sentence(
    phantoms: epath.Path, finished: Path, flag: str, said: str
):
    result = run(*job(phantoms, finished, flag))
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error:")]) == 1


def test_a_loss_that_is_not_finite_stops_the_run(tiny: ConfigDict, tmp_path: Path):
    tiny.optimizer.name, tiny.optimizer.learning_rate = "sgd", 1e30
    tiny.optimizer.clip_norm = 0.0
    with pytest.raises(NotFinite) as ending:
        train.train_and_evaluate(tiny, tmp_path / "run")
    for words in ("loss is", "at step", "learning rate", "last good checkpoint is"):
        assert words in str(ending.value)
    assert not (tmp_path / "run/report.html").exists()


def test_the_article_network_trains_without_a_cache(tiny: ConfigDict, tmp_path: Path):
    tiny.model.name, tiny.model.channels = "article", 3
    tiny.data.image_size, tiny.data.cache = 48, "none"
    tiny.train.epochs = 1
    result = train.train_and_evaluate(tiny, tmp_path / "run")
    assert (
        result["images"]
        == json.loads((tmp_path / "run/evaluation/test.json").read_text())["images"]
    )
    assert (tmp_path / "run/pictures/test/activations/08_pool4.png").exists()


def test_a_run_lies_where_vertex_ai_says_and_goes_on_there(
    phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, folder in (("MODEL", "model"), ("CHECKPOINT", "checkpoints")):
        monkeypatch.setenv(f"AIP_{name}_DIR", f"{tmp_path}/{folder}/")
    monkeypatch.setenv("AIP_TENSORBOARD_LOG_DIR", f"{tmp_path}/logs/")
    few = ("--config.summaries.times=0", "--config.train.epochs=1")
    command = [flag for flag in job(phantoms, tmp_path, *few) if not flag.startswith("--workdir")]
    killed = run(sys.executable, "-c", KILLED, "stepping", "8", *command[3:])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    newest = newest_steps_and_epochs(tmp_path)
    gone_on = run(*command)
    assert f"going on at step {newest[0]}" in gone_on.stdout, gone_on.stderr
    assert f"TensorBoard: scripts/tensorboard.sh {tmp_path}" in gone_on.stdout
    assert {"checkpoints", "evaluation", "logs", "report.html"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert not {"model", "tensorboard"} & {path.name for path in tmp_path.iterdir()}
    parts = {path.name for path in (tmp_path / "logs").iterdir() if path.is_dir()}
    assert parts == {"train", "validation", "test"}


def test_without_a_workdir_one_is_asked_for(phantoms: epath.Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR"):
        monkeypatch.delenv(name, raising=False)
    flags = [flag for flag in job(phantoms, Path()) if not flag.startswith("--workdir")]
    refused = run(*flags)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --workdir is missing: say where")
