"""A checkpoint is whole or it is none, and what is damaged is never taken for whole."""

import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from trainer.checkpoint import checkpoint
from trainer.checkpoint.saver import Saver
from trainer.system.errors import CannotWrite, CheckpointsDamaged, UsageError

DATA = "variables.data-00000-of-00001"


@pytest.fixture
def root(tmp_path: Path) -> epath.Path:
    return epath.Path(tmp_path) / "checkpoints"


def variables(value: float = 1.0, shape: tuple = (2, 3)) -> dict[str, tf.Variable]:
    return {
        "step": tf.Variable(int(value), dtype=tf.int64),
        "model/conv1/kernel": tf.Variable(tf.fill(shape, value)),
    }


def save(root: epath.Path, *steps: int, keep: int = 3, best: dict | None = None) -> None:
    saver = Saver(root, keep)
    for step in steps:
        scores = np.full((3, 2), step, np.float32)
        progress = {"step": step, "epoch": 1, "best": best}
        saver.save(variables(float(step)), {"scores": scores}, progress)
    saver.wait()


def names(root: epath.Path) -> list[str]:
    return [path.name for path in checkpoint.complete(root)]


def test_what_was_saved_is_restored(root: epath.Path):
    save(root, 7)
    into = variables(0.0)
    progress, arrays = checkpoint.restore(checkpoint.newest(root), into, ("scores",))
    assert progress == {"step": 7, "epoch": 1, "best": None}
    assert int(into["step"]) == 7
    np.testing.assert_array_equal(into["model/conv1/kernel"], np.full((2, 3), 7.0))
    np.testing.assert_array_equal(arrays["scores"], np.full((3, 2), 7.0))


def test_training_goes_on_while_a_checkpoint_is_written(
    root: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    write = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda *a: (time.sleep(0.5), write(*a)))
    saved, saver = variables(1.0), Saver(root, 3)
    progress = {"step": 1, "epoch": 0, "history": []}
    began = time.monotonic()
    saver.save(saved, {}, progress)
    assert time.monotonic() - began < 0.25
    saved["model/conv1/kernel"].assign(tf.fill((2, 3), 9.0))  # the next step, meanwhile
    progress["history"].append("the next epoch")
    saver.wait()
    into = variables(0.0)
    then, _ = checkpoint.restore(checkpoint.newest(root), into)
    assert then["history"] == []
    np.testing.assert_array_equal(into["model/conv1/kernel"], np.full((2, 3), 1.0))


def test_the_newest_and_the_best_are_kept(root: epath.Path):
    save(root, 5, keep=2)
    save(root, 90, 100, 1000, keep=2, best={"step": 5, "epoch": 1})
    assert names(root) == [
        "step-000000005-epoch-000001",
        "step-000000100-epoch-000001",
        "step-000001000-epoch-000001",
    ]
    assert len(list(root.iterdir())) == 3


def test_an_interrupted_checkpoint_is_none_and_is_removed(root: epath.Path):
    save(root, 1, 2)
    (root / names(root)[1] / checkpoint.MANIFEST).unlink()
    assert checkpoint.newest(root).name == "step-000000001-epoch-000001"
    assert len(list(root.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product([DATA, "variables.index", "progress.json"], ["truncated", "flipped", "missing"]),
        *product([checkpoint.MANIFEST], ["truncated", "flipped"]),
    ],
)
def test_a_damaged_checkpoint_is_reported_and_kept_aside(
    root: epath.Path, capsys: pytest.CaptureFixture, name: str, damage: str
):
    save(root, 1, 2)
    file = root / names(root)[1] / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else content)

    assert checkpoint.newest(root).name == "step-000000001-epoch-000001"

    said = capsys.readouterr().err
    assert "step-000000002-epoch-000001 is damaged" in said
    assert name in said or name == checkpoint.MANIFEST  # one of whose names may have changed
    assert (root / "damaged-step-000000002-epoch-000001").exists()
    save(root, 2, 3)  # goes on, and keeps what is damaged
    assert (root / "damaged-step-000000002-epoch-000001").exists()
    assert checkpoint.newest(root).name == "step-000000003-epoch-000001"


def test_where_none_verifies_nothing_is_begun_anew(root: epath.Path):
    save(root, 1)
    (root / names(root)[0] / DATA).write_bytes(b"")
    for _ in range(2):  # nor the second time, when it has been put aside
        with pytest.raises(CheckpointsDamaged, match="no whole one"):
            checkpoint.newest(root)


def test_no_checkpoint_is_none(root: epath.Path):
    assert checkpoint.newest(root) is None


def test_what_differs_is_named(root: epath.Path):
    save(root, 1)
    saved = checkpoint.newest(root)
    shape = r"kernel is of shape \[2, 3\] there and of shape \[4, 3\] here"
    with pytest.raises(UsageError, match=shape):
        checkpoint.restore(saved, variables(shape=(4, 3)), ("scores",))
    more = variables() | {"model/extra": tf.Variable(1.0)}
    with pytest.raises(UsageError, match="model/extra is missing there"):
        checkpoint.restore(saved, more, ("scores",))
    fewer = {"step": tf.Variable(0, dtype=tf.int64)}
    with pytest.raises(UsageError, match=r"kernel is of shape \[2, 3\] there and missing here"):
        checkpoint.restore(saved, fewer, ("scores",))


def test_the_loss_scale_of_another_precision_is_neither_needed_nor_in_the_way(root: epath.Path):
    scale = {"loss_scale/dynamic_scale": tf.Variable(8.0)}
    save(root, 1)
    checkpoint.restore(checkpoint.newest(root), variables() | scale, ("scores",))
    assert float(scale["loss_scale/dynamic_scale"]) == 8.0
    saver = Saver(root, 3)
    saver.save(variables() | scale, {}, {"step": 2, "epoch": 1})
    saver.wait()
    checkpoint.restore(checkpoint.newest(root), variables())


def test_a_disk_that_takes_no_more_is_one_sentence(
    root: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    save(root, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write", full)
    saver = Saver(root, 3)
    saver.save(variables(), {}, {"step": 2, "epoch": 0})
    with pytest.raises(CannotWrite, match="No space left.*newest there is step-000000001"):
        saver.wait()
    assert names(root) == ["step-000000001-epoch-000001"]


def test_checkpoint_that_is_half_written_has_no_manifest(
    root: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = checkpoint.path(root, 1, 1)
    for part in ("write_json", "write_bytes"):  # of the progress, and below it
        with monkeypatch.context() as failing:
            failing.setattr(checkpoint.atomic, part, full)
            with pytest.raises(OSError, match="No space left"):
                checkpoint.write(folder, {"step": np.array(1)}, {"step": 1, "epoch": 1})
        assert list(folder.glob("variables*")) and not (folder / checkpoint.MANIFEST).exists()
        assert checkpoint.complete(root) == []


def test_old_checkpoint_that_cannot_be_removed_ends_nothing_and_goes_later(
    root: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    def unavailable(*_: object) -> None:
        raise tf.errors.UnavailableError(None, None, "list gs://bucket/x: HTTP response code 503")

    with monkeypatch.context() as failing:
        failing.setattr(checkpoint, "remove", unavailable)
        save(root, 1, 2, keep=1)
    assert len(names(root)) == 2
    save(root, 3, keep=1)
    assert names(root) == ["step-000000003-epoch-000001"]


def test_checkpoint_lost_to_any_exception_is_noticed(
    root: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(checkpoint, "write", out_of_memory)
    saver = Saver(root, 3)
    saver.save(variables(), {}, {"step": 2, "epoch": 0})
    with pytest.raises(MemoryError):
        saver.wait()
    saver.wait()  # raised once
    assert names(root) == []


def test_the_manifest_tells_size_and_checksum_of_every_file(root: epath.Path):
    save(root, 1)
    folder = checkpoint.newest(root)
    files = json.loads((folder / checkpoint.MANIFEST).read_text())["files"]
    assert files.keys() == {p.name for p in folder.iterdir()} - {checkpoint.MANIFEST}
    assert files[DATA]["bytes"] == (folder / DATA).stat().length
    assert len(files[DATA]["sha256"]) == 64


def test_files_of_the_user_among_checkpoints_are_left_alone(root: epath.Path):
    save(root, 1)
    others = [
        root / "step-notes.txt",
        root / "damaged-notes.txt",
        checkpoint.newest(root) / "notes",
    ]
    copy = root / f"{checkpoint.newest(root).name}.bak"
    copy.mkdir()
    for file in (*others, copy / checkpoint.MANIFEST):
        file.write_text("mine")
    (root / "step-000000009-epoch-000001").mkdir()  # interrupted
    (root / "step-000000009-epoch-000001" / "notes").write_text("mine")
    assert checkpoint.newest(root).name == "step-000000001-epoch-000001"
    save(root, 2, 3, 4, keep=1)
    assert names(root) == ["step-000000004-epoch-000001"]
    assert all(file.read_text() == "mine" for file in (*others, copy / checkpoint.MANIFEST))
    assert (root / "step-000000009-epoch-000001" / "notes").read_text() == "mine"
