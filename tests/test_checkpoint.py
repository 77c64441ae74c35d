"""A checkpoint is whole or it is none."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from trainer import checkpoint
from trainer.entry import Refusal


@pytest.fixture
def folder(tmp_path: epath.Path) -> epath.Path:
    return epath.Path(tmp_path) / "checkpoints"


def variables(value: float = 1.0, shape: tuple = (2, 3)) -> dict[str, tf.Variable]:
    return {
        "step": tf.Variable(int(value), dtype=tf.int64),
        "model/conv1/kernel": tf.Variable(tf.fill(shape, value)),
    }


def test_what_was_saved_is_restored(folder: epath.Path):
    checkpoint.save_newest(folder, variables(7.0), {"step": 7, "history": [1]}, keep=2)
    into = variables(0.0)
    progress = checkpoint.restore(checkpoint.newest(folder), into)
    assert progress == {"step": 7, "history": [1]}
    assert int(into["step"]) == 7
    np.testing.assert_array_equal(into["model/conv1/kernel"], np.full((2, 3), 7.0))


def test_the_newest_are_kept(folder: epath.Path):
    for step in (5, 90, 100, 1000):
        checkpoint.save_newest(folder, variables(), {"step": step}, keep=2)
    assert [path.name for path in checkpoint.complete(folder)] == [
        "step-000000100",
        "step-000001000",
    ]
    assert len(list(folder.iterdir())) == 2


def test_an_interrupted_checkpoint_is_none_and_is_written_anew(folder: epath.Path):
    checkpoint.save_newest(folder, variables(1.0), {"step": 1}, keep=3)
    checkpoint.save_newest(folder, variables(2.0), {"step": 2}, keep=3)
    (folder / "step-000000002" / checkpoint.MANIFEST).unlink()
    assert checkpoint.newest(folder).name == "step-000000001"
    checkpoint.save_newest(folder, variables(2.0), {"step": 2}, keep=3)
    into = variables(0.0)
    checkpoint.restore(checkpoint.newest(folder), into)
    assert int(into["step"]) == 2


def test_no_checkpoint_is_none(folder: epath.Path):
    assert checkpoint.newest(folder) is None


def test_another_shape_and_a_missing_variable_are_named(folder: epath.Path):
    checkpoint.save_newest(folder, variables(), {"step": 1}, keep=1)
    saved = checkpoint.newest(folder)
    with pytest.raises(Refusal, match=r"kernel is of shape \[2, 3\], not of shape \[4, 3\]"):
        checkpoint.restore(saved, variables(shape=(4, 3)))
    with pytest.raises(Refusal, match="model/extra is missing"):
        checkpoint.restore(saved, variables() | {"model/extra": tf.Variable(1.0)})
