"""What can go wrong ends a run with one sentence and a code, and the same command goes on."""

import contextlib
import gc
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from scripts.alike import final_variables
from tests.end_to_end.conftest import AtStep, plan_at_step, stop
from tests.forks import Forks
from trainer import train
from trainer.checkpoint import checkpoint
from trainer.config.schema import default
from trainer.metrics import evaluation_files
from trainer.report import run_page
from trainer.show import summaries
from trainer.show.tensorboard import TensorBoard
from trainer.system.errors import (
    CannotWrite,
    CheckpointsDamaged,
    DataLost,
    ExitError,
    NotFinite,
    Stopped,
    UsageError,
)
from trainer.training import run as training_run
from trainer.training import step
from trainer.training.state import State

STEPS = 21  # two epochs of 84 images
LEFTOVER = ".radiograph-trainer-0123456789abcdef.tmp"  # of an atomic write that was killed
SMALL = {
    "name": "small",
    "data.image_size": 48,
    "model.name": "article",
    "model.dropout": 0.3,
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.ema": 0.9,
    "distribute.strategy": "one_device",
    "checkpoint.every_steps": 2,
    "summaries.times": 0,
    "profile.flops": False,  # which takes a quarter of so short a run
}

# Runs the job with the flags that follow, and kills itself once it has reached a step.
KILLED = """
import os, signal, sys
import pytest
from tests.end_to_end.conftest import plan_at_step
from trainer import task

kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
plan_at_step(pytest.MonkeyPatch())(int(sys.argv.pop(1)), kill)
task.run()
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("no_charts")]


def small(data: epath.PathLike) -> ConfigDict:
    """A config that is soon trained: the article's network, 11 steps an epoch."""
    config = default()
    config.update_from_flattened_dict(SMALL | {"data.path": str(data)})
    return config


@pytest.fixture
def config(phantoms: epath.Path) -> ConfigDict:
    return small(phantoms)


@pytest.fixture(scope="module")
def unbroken(phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("unbroken")
    train.train_and_evaluate(small(phantoms), workdir)
    return workdir


@pytest.fixture(scope="module")
def stopped_run(phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped at step 14, in the second epoch."""
    workdir = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        plan_at_step(patch)(14, stop)
        with pytest.raises(Stopped):
            train.train_and_evaluate(small(phantoms), workdir)
    assert saved(workdir)[-1] == 14
    return workdir


@pytest.fixture
def stopped(stopped_run: Path, tmp_path: Path) -> Path:
    """A copy of the stopped run."""
    return shutil.copytree(stopped_run, tmp_path / "stopped")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", folder)
    yield folder
    while subprocess.run(["umount", "-l", folder], capture_output=True, check=False).returncode:
        time.sleep(0.1)


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.decode().strip()}")


def fill(disk: Path, room: int = 0) -> None:
    """Leaves `room` bytes on the disk."""
    gc.collect()  # what runs before this one left open would give its space back later
    with open(disk / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(disk).free - room)


def ends(config: ConfigDict, workdir: Path, kind: type[ExitError], *said: str) -> str:
    """Runs until the ExitError of that kind, in one sentence that says all that; returns it."""
    with pytest.raises(kind) as ending:
        train.train_and_evaluate(config, workdir)
    sentence = str(ending.value)
    assert all(words in sentence for words in said), sentence
    assert "\n" not in sentence
    return sentence


def saved(workdir: Path) -> list[int]:
    """The steps of the checkpoints that are whole."""
    folders = checkpoint.complete(epath.Path(workdir) / "checkpoints")
    return [checkpoint.step_and_epoch(folder)[0] for folder in folders]


def await_saved(workdir: Path, number: int) -> None:
    """Waits for a step's checkpoint, which is written while the steps go on."""
    for _ in range(600):
        if number in saved(workdir):
            return
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint of step {number} within a minute: {saved(workdir)}")


def curve(workdir: Path, part: str = "validation", tag: str = "metrics/loss") -> list[int]:
    """The steps of a curve in TensorBoard."""
    folder = str(workdir / "tensorboard" / part)
    events = EventAccumulator(folder, {"tensors": 0}, purge_orphaned_data=False).Reload()
    return [event.step for event in events.Tensors(tag)]


def goes_on_as_unbroken(config: ConfigDict, workdir: Path, unbroken: Path) -> None:
    """The same again finishes, and nothing shows what has happened."""
    train.train_and_evaluate(config, workdir)
    ours, theirs = final_variables(unbroken), final_variables(workdir)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)
    scores = "evaluation/test.csv"
    assert (workdir / scores).read_text() == (unbroken / scores).read_text()
    assert curve(workdir) == curve(unbroken) == [0, 11, STEPS]
    assert not list(workdir.rglob("*.tmp"))


def test_a_run_without_summaries_has_its_curves_and_its_report_alone(unbroken: Path):
    events = EventAccumulator(str(unbroken / "tensorboard/validation"), {"tensors": 0}).Reload()
    groups = {tag.split("/")[0] for tag in events.Tags()["tensors"]}
    assert "metrics" in groups and not groups & {"network", "results", "weights", "outputs"}
    assert not (unbroken / "pictures").exists() and (unbroken / "report.html").exists()


def test_checkpoints_by_time_change_no_weight(config: ConfigDict, tmp_path: Path, unbroken: Path):
    config.checkpoint.every_steps, config.checkpoint.every_minutes = 0, 1e-9
    config.checkpoint.keep = 100
    goes_on_as_unbroken(config, tmp_path / "run", unbroken)
    assert len(saved(tmp_path / "run")) > 2  # of the epochs


def test_a_disk_that_is_full_in_mid_save_leaves_the_checkpoint_before(
    config: ConfigDict, at_step: AtStep, disk: Path, unbroken: Path
):

    def fill_up() -> None:
        await_saved(disk / "run", 6)
        fill(disk, room=1_000_000)  # a checkpoint takes more

    at_step(8, fill_up)
    ends(config, disk / "run", CannotWrite, "No space left on device", "same command")
    half = checkpoint.path(epath.Path(disk) / "run/checkpoints", 8, 0)
    assert half.exists() and saved(disk / "run")[-1] == 6
    (disk / "ballast").unlink()
    goes_on_as_unbroken(config, disk / "run", unbroken)


def test_a_disk_that_is_full_is_named_whatever_is_being_written(
    config: ConfigDict, disk: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
):
    for owner, name in (
        *((TensorBoard, "begin"), (TensorBoard, "epoch")),
        *((evaluation_files, "write"), (run_page, "write")),
    ):
        write = getattr(owner, name)

        def full(*arguments: object, write: Callable = write) -> object:
            if not (disk / "ballast").exists():
                fill(disk)
            return write(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            ends(config, disk / "run", CannotWrite, "No space left on device", "same command")
        (disk / "ballast").unlink()
    goes_on_as_unbroken(config, disk / "run", unbroken)


def test_events_lost_while_the_disk_was_full_for_a_moment_are_noticed(disk: Path):
    written = summaries.Summaries(epath.Path(disk) / "tensorboard", epath.Path(disk) / "pictures")
    written.scalars("train", 0, {"loss": 0.5})
    lengths = written.flush()
    fill(disk)
    for number in range(1, 200):
        with contextlib.suppress(tf.errors.OpError):  # TensorFlow tells of it once
            written.scalars("train", number, {"loss": 0.5})
    (disk / "ballast").unlink()
    written.scalars("train", 200, {"loss": 0.5})
    with pytest.raises(OSError, match="No space left"):
        written.flush()
    summaries.rewind(epath.Path(disk) / "tensorboard", lengths)
    assert curve(disk, "train", "loss") == [0]


def test_a_work_directory_that_becomes_read_only_is_named(
    config: ConfigDict, at_step: AtStep, disk: Path, unbroken: Path
):
    workdir = disk / "run"

    def make_read_only() -> None:  # a mount over it: one with open files cannot be changed
        await_saved(workdir, 4)
        mount("--bind", workdir, workdir)
        mount("-o", "remount,bind,ro", workdir)

    workdir.mkdir()
    at_step(5, make_read_only)
    ends(config, workdir, CannotWrite, "Read-only file system", str(workdir / "speed.json"))
    assert saved(workdir)[-1] == 4
    ends(config, workdir, CannotWrite, str(workdir), "Read-only file system")  # from the start
    subprocess.run(["umount", "-l", workdir], check=True)
    goes_on_as_unbroken(config, workdir, unbroken)


@pytest.mark.parametrize("cache", ["host", "none"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_lost_data_is_named_before_the_start(
    config: ConfigDict, tmp_path: Path, damage: str, cache: str
):
    shutil.copytree(config.data.path, tmp_path / "data")
    config.data.path, config.data.cache = str(tmp_path / "data"), cache
    lose(tmp_path / "data", damage)
    ends(config, tmp_path / "run", DataLost, str(tmp_path / "data"))


def test_data_lost_in_mid_run_is_named_and_bringing_it_back_goes_on(
    config: ConfigDict, phantoms: epath.Path, at_step: AtStep, tmp_path: Path, unbroken: Path
):
    shutil.copytree(config.data.path, tmp_path / "data")
    config.data.path, config.data.cache = str(tmp_path / "data"), "none"
    at_step(5, lambda: lose(tmp_path / "data", "truncated"))
    ends(config, tmp_path / "run", DataLost, str(tmp_path / "data"), "split train")
    assert saved(tmp_path / "run")[-1] >= 4
    config.data.path = str(phantoms)
    goes_on_as_unbroken(config, tmp_path / "run", unbroken)


def lose(data: Path, damage: str) -> None:
    """Damages the training split's file."""
    (shard,) = data.rglob("*train*array_record*")
    if damage == "missing":
        shard.unlink()
    else:
        os.truncate(shard, shard.stat().st_size // 3)


@pytest.fixture
def not_finite_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Returns what makes the loss no number at a step."""
    make_loop, loss_of = step.train_loop, step.loss_of

    def plan(number: int) -> None:
        def train_loop(
            strategy: tf.distribute.Strategy, state: object, config: ConfigDict, **named: object
        ) -> Callable:
            def loss(*arguments: object, **named: object) -> tf.Tensor:
                spoilt = tf.where(state.step == number - 1, np.nan, 1.0)
                return loss_of(*arguments, **named) * spoilt

            monkeypatch.setattr(step, "loss_of", loss)
            return make_loop(strategy, state, config, **named)

        monkeypatch.setattr(step, "train_loop", train_loop)

    return plan


def test_a_loss_that_is_no_number_leaves_the_good_checkpoints_alone(
    config: ConfigDict,
    not_finite_at: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    unbroken: Path,
):
    not_finite_at(8)
    good = tmp_path / "run/checkpoints/step-000000006-epoch-000000"
    ends(config, tmp_path / "run", NotFinite, "loss is nan at step 8", f"checkpoint is {good}.")
    assert saved(tmp_path / "run")[-1] == 6
    monkeypatch.undo()
    goes_on_as_unbroken(config, tmp_path / "run", unbroken)


@pytest.mark.parametrize("number", [8, 11])  # in mid-epoch, and at its end
def test_weights_that_are_no_number_are_neither_saved_nor_evaluated(
    config: ConfigDict,
    at_step: AtStep,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    tmp_path: Path,
):
    states, create_state = [], training_run.create_state

    def kept(*arguments: object, **named: object) -> State:
        states.append(create_state(*arguments, **named))
        return states[0]

    def spoil() -> None:
        kernel = states[0].model.trainable_variables[0]
        kernel.assign(kernel * np.nan)

    monkeypatch.setattr(training_run, "create_state", kept)
    at_step(number, spoil)
    ends(config, tmp_path / "run", NotFinite, f"a weight is not finite at step {number}")
    assert saved(tmp_path / "run")[-1] < number


def test_half_precision_skips_a_step_that_is_not_finite(
    config: ConfigDict, not_finite_at: Callable[[int], None], tmp_path: Path
):
    config.precision = "mixed_float16"
    not_finite_at(8)
    train.train_and_evaluate(config, tmp_path / "run")
    variables = final_variables(tmp_path / "run")
    assert variables["step"] == STEPS
    assert all(np.isfinite(value).all() for value in variables.values())
    events = EventAccumulator(str(tmp_path / "run/tensorboard/train"), {"tensors": 0}).Reload()
    skipped = events.Tensors("training/skipped_steps")[-1]
    assert (skipped.step, tf.make_ndarray(skipped.tensor_proto)) == (STEPS, 1)


def test_a_killed_run_with_its_pixels_on_the_device_goes_on_to_the_bits_of_those_on_the_host(
    config: ConfigDict, forks: Forks, tmp_path: Path, unbroken: Path
):
    config.data.cache, file, workdir = "device", tmp_path / "config.json", tmp_path / "run"
    file.write_text(config.to_json())
    job = (f"--config={file}", f"--workdir={workdir}", "--verbosity=-1")
    killed = forks.run("-c", KILLED, 14, *job, timeout=280)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert saved(workdir)[-1] in range(4, 15), "in the first epoch or in the second"
    goes_on_as_unbroken(config, workdir, unbroken)


def test_a_clock_that_jumps_moves_nothing_but_the_time_of_day(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unbroken: Path
):
    seconds, timestamp = time.time, tf.timestamp
    jumps = itertools.cycle([0.0, -3600.0, 3.6e6])
    monkeypatch.setattr(time, "time", lambda: seconds() + next(jumps))
    monkeypatch.setattr(tf, "timestamp", lambda: -timestamp())
    goes_on_as_unbroken(config, tmp_path / "run", unbroken)
    for row in json.loads((tmp_path / "run/history.json").read_text()):
        assert 0.0 <= row["train"]["input_wait"] <= 1.0
        assert 0.0 < row["seconds"] < 600.0


def flip(folder: epath.Path) -> None:
    """Changes one bit of a checkpoint's variables."""
    (file,) = folder.glob("variables.data*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    config: ConfigDict, stopped: Path, unbroken: Path, capsys: pytest.CaptureFixture
):
    flip(checkpoint.complete(epath.Path(stopped) / "checkpoints")[-1])
    goes_on_as_unbroken(config, stopped, unbroken)
    printed = capsys.readouterr()
    assert "step-000000014-epoch-000001 is damaged" in printed.err
    assert "going on at step 12" in printed.out


def test_where_all_checkpoints_are_damaged_nothing_is_written_over_them(
    config: ConfigDict, stopped: Path
):
    root = epath.Path(stopped) / "checkpoints"
    for folder in checkpoint.complete(root):
        flip(folder)
    names = {f"damaged-{folder.name}" for folder in root.iterdir()}
    history = (stopped / "history.json").read_text()
    for _ in range(2):
        ends(config, stopped, CheckpointsDamaged, str(root), "backup")
        assert {folder.name for folder in root.iterdir()} == names
        assert (stopped / "history.json").read_text() == history


def test_the_checkpoint_of_another_network_is_refused_by_name(config: ConfigDict, stopped: Path):
    foreign = checkpoint.path(epath.Path(stopped) / "checkpoints", 19, 1)
    variables = final_variables(stopped)
    variables["model/article/conv1/kernel"] = np.zeros((5, 5, 1, 8), np.float32)
    checkpoint.write(foreign, variables, {"step": 19, "epoch": 1})
    kernel = "model/article/conv1/kernel is of shape [5, 5, 1, 8] there"
    ends(config, stopped, UsageError, f"{foreign} does not fit this network", kernel)


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def test_half_written_files_of_a_finished_run_are_written_again(
    config: ConfigDict, tmp_path: Path, unbroken: Path
):
    workdir = shutil.copytree(unbroken, tmp_path / "run")
    names = ("history.json", "report.html", "evaluation/test.csv", "evaluation/test.json")
    for name in names:
        halve(workdir / name)
        shutil.copy(workdir / name, (workdir / name).with_name(LEFTOVER))
    goes_on_as_unbroken(config, workdir, unbroken)
    for name in names[2:]:
        assert (workdir / name).read_text() == (unbroken / name).read_text()
    rows = json.loads((unbroken / "history.json").read_text())
    assert json.loads((workdir / "history.json").read_text()) == rows
    assert (workdir / "report.html").stat().st_size > 0.9 * (
        unbroken / "report.html"
    ).stat().st_size


def test_half_written_events_do_not_reach_tensorboard(
    config: ConfigDict, stopped: Path, unbroken: Path
):
    for file in [*stopped.glob("tensorboard/*/events*")]:
        content = file.read_bytes()
        file.write_bytes(content + content[: len(content) // 2])  # died after the checkpoint
        file.with_name(LEFTOVER).write_bytes(content[: len(content) // 2])
    goes_on_as_unbroken(config, stopped, unbroken)
    steps = curve(stopped, "train", "training/step_loss")
    assert steps == sorted(set(steps)) and steps[-1] == STEPS


def test_events_that_are_cut_short_of_their_checkpoint_do_not_stop_the_run(
    config: ConfigDict, stopped: Path
):
    for file in stopped.glob("tensorboard/*/events*"):
        halve(file)  # the machine lost its power before they were on the disk
    train.train_and_evaluate(config, stopped)
    assert curve(stopped)[-1] == STEPS


def test_work_directory_with_files_of_another_program_is_left_as_it_is(
    tiny: ConfigDict, tmp_path: Path
):
    mine = tmp_path / "history.json"
    mine.write_text("mine")
    with pytest.raises(UsageError):
        train.train_and_evaluate(tiny, tmp_path)
    assert mine.read_text() == "mine" and not (tmp_path / "config.json").exists()


def test_a_second_job_on_the_work_directory_of_a_living_one_is_refused(
    config: ConfigDict, at_step: AtStep, tmp_path: Path, unbroken: Path
):
    workdir, said = tmp_path / "run", f"in use by another job (process {os.getpid()}"
    seconds = []
    at_step(4, lambda: seconds.append(ends(config, workdir, UsageError, said)))
    goes_on_as_unbroken(config, workdir, unbroken)
    assert len(seconds) == 1
