"""A stretch of a run comes out again bit for bit, and where it does not, what differs is said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from etils import epath

from trainer import replay
from trainer.checkpoint import checkpoint
from trainer.commands import replay as command
from trainer.data import pipeline
from trainer.replay import Replay
from trainer.system.errors import UsageError


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kept_steps_come_out_again_and_with_a_flipped_bit_of_an_image_they_do_not(
    finished: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    workdir = Path(shutil.copytree(finished, tmp_path / "run"))
    before = {file: file.stat().st_mtime_ns for file in workdir.rglob("*")}
    again = replay.replay(workdir)
    assert (again.start, again.end) == (18, 21)
    assert again.differences == [] and "bit for bit" in str(again)
    assert again.compared.endswith("logged losses (1) and epochs (1)")
    assert {file: file.stat().st_mtime_ns for file in workdir.rglob("*")} == before

    environment = json.loads((workdir / "environment.json").read_text())
    environment["starts"][0]["versions"]["numpy"] = "1.0"
    environment["starts"][0]["instructions"] = ["avx"]
    (workdir / "environment.json").write_text(json.dumps(environment))
    batches, bit = pipeline.train_batches, np.zeros((8, 64, 64, 1), np.uint8)
    bit[0, 32, 32] = 128

    def flipped(*arguments: object, **named: object) -> tf.data.Dataset:
        return batches(*arguments, **named).map(
            lambda batch: batch | {"image": tf.bitwise.bitwise_xor(batch["image"], bit)}
        )

    monkeypatch.setattr(pipeline, "train_batches", flipped)
    other = replay.replay(workdir)
    variables, losses, metrics = other.differences
    assert " variables, " in variables and " losses, " in losses and "epoch 2: train." in metrics
    assert f"numpy was 1.0, is {np.__version__}" in other.causes
    assert "the processor's arithmetic was avx with" in str(other)


@pytest.fixture
def kept(tmp_path: Path) -> epath.Path:
    """Checkpoints of nothing after 11, 15, 18 and 21 steps."""
    root = epath.Path(tmp_path)
    for step, epoch in ((11, 0), (11, 1), (15, 1), (18, 1), (21, 2)):
        checkpoint.write(checkpoint.path(root, step, epoch), {"a": np.zeros(1)}, {})
    return root


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (None, None, (18, 21)),
        (11, None, (11, 15)),
        (None, 18, (15, 18)),
        (11, 21, (11, 21)),
        (0, None, (0, 11)),
        (0, 21, (0, 21)),
        (12, None, None),
        (None, 11, None),
        (None, 12, None),
        (18, 15, None),
        (21, None, None),
    ],
)
def test_a_stretch_lies_between_two_kept_checkpoints(
    kept: epath.Path, start: int | None, end: int | None, found: tuple[int, int] | None
):
    if found is None:
        with pytest.raises(UsageError, match="steps 11, 15, 18, 21: give --from and --to"):
            replay.stretch(kept, start, end)
        return
    folders = replay.stretch(kept, start, end)
    assert tuple(checkpoint.step_and_epoch(f) if f else (0, 0) for f in folders) == tuple(
        (step, {0: 0, 21: 2}.get(step, 1)) for step in found
    )


def test_a_damaged_checkpoint_is_not_compared_with(kept: epath.Path):
    (checkpoint.path(kept, 21, 2) / checkpoint.PROGRESS).write_text("{ }")
    with pytest.raises(UsageError, match="is damaged"):
        replay.stretch(kept, None, None)


def test_the_run_of_several_workers_is_refused(finished: epath.Path, tmp_path: Path):
    for name in replay.NEEDED:
        shutil.copy(finished / name, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["distribute"]["strategy"] = "multi_worker"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="several workers"):
        replay.replay(tmp_path)


@pytest.mark.parametrize("differences", [[], ["1 of 2 variables, a by up to 0.5"]])
def test_the_command_ends_with_0_or_1_and_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    differences: list[str],
):
    (tmp_path / "config.json").write_text("{}")
    values = flags.FlagValues()
    command.define_flags(values)
    monkeypatch.setattr(flags, "FLAGS", values)
    result = Replay(3, 6, "2 variables", differences, [])
    asked, recorded = {}, []
    monkeypatch.setattr(replay, "replay", lambda run, **given: asked.update(given) or result)
    monkeypatch.setattr(replay, "record", lambda run, found: recorded.append(run))
    given = values(["replay", str(tmp_path), "--from=3", "--to=6", "--record"])
    if differences:
        with pytest.raises(SystemExit) as ending:
            command.main(given)
        assert ending.value.code == 1
    else:
        command.main(given)
    assert capsys.readouterr().out == f"{result}\n" and recorded == [str(tmp_path)]
    assert asked == {"start": 3, "end": 6, "data": ""}
