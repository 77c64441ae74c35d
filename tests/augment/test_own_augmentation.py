"""A user's own augmentation draws by (seed, step, row), or is refused."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.augment.own_augmentation import OwnAugmentation
from trainer.system.errors import UsageError

KEY, ROWS = random_numbers.key(seed=3, step=7), np.arange(4, dtype=np.int32)
FUNCTIONS = """
import tensorflow as tf
def darker(images, uniform): return images * (1 - 0.5 * uniform(1, 1, 1) * uniform(1, 1, 1))
def smaller(images, uniform): return images[:, 1:]
def fails(images, uniform): return images + uniform(2)
def half(images, uniform): return tf.cast(images, tf.float16)
def own_draws(images, uniform): return images * tf.random.uniform([])
def looks_aside(images, uniform): return images - tf.reduce_mean(images)
def numpy(images, uniform): return images.numpy() / 2
def infinite(images, uniform): return images / 0
def exits(images, uniform): raise SystemExit(3)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("own") / "augment.py"
    file.write_text(FUNCTIONS)
    return file


def test_draws_depend_on_the_row_alone_and_each_call_makes_others(file: Path):
    layer = OwnAugmentation(f"{file}:darker")
    layer.check(16)
    images = np.ones((4, 16, 16, 1), np.float32)
    whole = layer(images, KEY, ROWS, global_batch=4).numpy()
    np.testing.assert_array_equal(layer(images[2:], KEY, ROWS[2:], global_batch=4), whole[2:])
    drawn = 2 * (1 - whole[:, 0, 0, 0])
    assert np.ptp(drawn) > 0.05 and not np.allclose(np.sqrt(drawn), drawn)


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("smaller", r"returns float32 of shape \[4, 15, 16, 1\] for \[4, 16, 16, 1\]: it gets"),
        ("half", "returns float16"),
        ("fails", "fails .*: it gets"),
        ("numpy", "fails .AttributeError.*numpy.*: it gets"),
        ("infinite", "returns numbers that are not finite: it gets"),
        ("exits", "fails .SystemExit: 3.: it gets"),
        ("own_draws", "random numbers that are not of uniform"),
        ("looks_aside", "where others lie beside it"),
    ],
)
def test_functions_that_replicas_would_call_otherwise_are_refused(
    file: Path, function: str, fault: str
):
    for _ in range(2):
        with pytest.raises(UsageError, match=fault):
            OwnAugmentation(f"{file}:{function}").check(16)
        tf.random.set_seed(0)  # as a script may, with which every graph begins with the same draw
