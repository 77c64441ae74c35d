"""Images and labels are mixed two by two, alike however the rows lie on replicas."""

import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.augment.mixing import Mixing

BATCH, SIDE = 8, 32
KEY, ROWS = random_numbers.key(seed=3, step=7), np.arange(BATCH, dtype=np.int32)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((BATCH, SIDE, SIDE, 1), np.float32)
LABELS = np.array([[1, 0], [0, 1], [1, -1], [0, 0], [1, 1], [0, 0], [0, 1], [1, 0]], np.float32)
ALONE = {"mixup": {"mixup": 0.4}, "cutmix": {"cutmix": 1.0}}
KINDS = ALONE | {"both": {"mixup": 0.4, "cutmix": 1.0}}


def mixed(kind: str, rows: np.ndarray = ROWS, step: int = 7) -> list[np.ndarray]:
    key = random_numbers.key(seed=3, step=step)
    result = Mixing(**KINDS[kind])(IMAGES[rows], LABELS[rows], key, rows, global_batch=BATCH)
    return [tensor.numpy() for tensor in result]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_the_batch_are_mixed_as_the_whole(kind: str):
    whole = mixed(kind)
    for share in (2, 4):
        parts = zip(*(mixed(kind, rows) for rows in np.split(ROWS, BATCH // share)), strict=True)
        for part, of_all in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(part), of_all)


def test_two_replicas_mix_as_one(two_replicas: tf.distribute.Strategy):
    columns = tf.data.Dataset.from_tensors((IMAGES, LABELS, ROWS)).unbatch().batch(BATCH)
    batch = next(iter(two_replicas.experimental_distribute_dataset(columns)))
    mixing = Mixing(**KINDS["both"])

    @tf.function
    def step(images, labels, rows):
        return mixing(images, labels, KEY, rows, global_batch=BATCH)

    for value, expected in zip(two_replicas.run(step, batch), mixed("both"), strict=True):
        local = tf.concat(two_replicas.experimental_local_results(value), 0)
        np.testing.assert_allclose(local, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ALONE)
def test_labels_are_mixed_by_the_share_of_the_image_and_unknown_ones_stay_so(kind: str):
    images, labels = mixed(kind)
    partners = ROWS ^ 1
    if kind == "mixup":
        away = (images - IMAGES[partners]) / (IMAGES - IMAGES[partners])
        share = np.median(away, axis=(1, 2, 3))
    else:
        own = images == IMAGES
        np.testing.assert_array_equal(np.where(own, IMAGES, IMAGES[partners]), images)
        share = own.mean(axis=(1, 2, 3))
    assert share.std() > 0.05
    expected = share[:, None] * LABELS + (1 - share[:, None]) * LABELS[partners]
    known = (LABELS >= 0) & (LABELS[partners] >= 0)
    np.testing.assert_allclose(labels, np.where(known, expected, -1), atol=1e-4)
    assert (labels[2:4, 1] == -1).all() and known.sum() == 14


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_their_distribution(alpha: float):
    rows = np.arange(4096, dtype=np.int32)
    labels = (rows % 2)[:, None].astype(np.float32)
    images = np.zeros((4096, 2, 2, 1), np.float32)
    _, given = Mixing(mixup=alpha)(images, labels, KEY, rows, global_batch=4096)
    share = given.numpy()[1::2]  # of the ones
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_with_both_each_image_has_one_and_steps_differ():
    images, _ = mixed("both")
    cut = [
        np.isclose(new, IMAGES[row]) | (new == IMAGES[row ^ 1]) for row, new in enumerate(images)
    ]
    whole = [pixels.all() for pixels in cut]
    assert any(whole) and not all(whole)
    assert not np.array_equal(mixed("both", step=8)[0], images)
