"""Batch k is a pure function of (seed, k)."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from trainer.data import data_split, pipeline

SIZE = 24


@pytest.fixture(scope="module")
def split(phantoms: epath.Path) -> data_split.Split:
    return data_split.open_split(phantoms, "train")


@pytest.fixture(scope="module")
def cached(split: data_split.Split) -> pipeline.Pixels:
    return pipeline.pixels(split, SIZE, "host")


def assert_same(one: dict, other: dict) -> None:
    for name in ("image", "label", "row", "weight"):
        np.testing.assert_array_equal(one[name], other[name])


def numbered(size: int) -> pipeline.Pixels:
    """Records whose image is their number."""
    return pipeline.Pixels(size, lambda numbers: numbers.map(lambda n, *others: (n, n, *others)))


def visits(batches: tf.data.Dataset) -> np.ndarray:
    seen = [(b["image"].numpy(), b["weight"].numpy()) for b in batches]
    return np.concatenate([image[weight > 0] for image, weight in seen])


def test_a_batch_has_the_shapes_that_it_says(cached: pipeline.Pixels):
    batch = next(iter(pipeline.train_batches(cached, 8, seed=0, epochs=1)))
    assert batch["image"].shape == (8, SIZE, SIZE, 1) and batch["image"].dtype == tf.uint8
    assert batch["label"].shape == (8, 1) and batch["label"].dtype == tf.float32
    np.testing.assert_array_equal(batch["row"], np.arange(8))
    np.testing.assert_array_equal(batch["weight"], np.ones(8))


def test_both_caches_give_the_same_batches(split: data_split.Split, cached: pipeline.Pixels):
    read = pipeline.train_batches(pipeline.pixels(split, SIZE, "none"), 8, seed=3, epochs=2)
    kept = pipeline.train_batches(cached, 8, seed=3, epochs=2)
    count = 0
    for one, other in zip(read, kept, strict=True):
        assert_same(one, other)
        count += 1
    assert count == pipeline.steps(2 * split.size, 8)


@pytest.mark.parametrize("start", [1, 7, 11, 13])
def test_starting_at_step_k_gives_batch_k(cached: pipeline.Pixels, start: int):
    whole = list(pipeline.train_batches(cached, 12, seed=0, epochs=2))
    later = list(pipeline.train_batches(cached, 12, seed=0, epochs=2, start_step=start))
    assert len(later) == len(whole) - start
    for one, other in zip(later, whole[start:], strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("size", "batch"), [(20, 8), (24, 8), (5, 16), (7, 7)])
def test_three_epochs_see_each_example_three_times(size: int, batch: int):
    seen = visits(pipeline.train_batches(numbered(size), batch, seed=0, epochs=3))
    np.testing.assert_array_equal(np.bincount(seen, minlength=size), 3)


def test_images_fit_the_square_as_they_are_told(split: data_split.Split):
    first = tf.data.Dataset.from_tensors(tf.constant([0, 1, 2], tf.int64))
    images = [
        next(iter(pipeline.pixels(split, SIZE, "none", fit_mode=mode).look_up(first)))[0].numpy()
        for mode in ("squash", "pad", "crop")
    ]
    wide = images[1][:, 0].max(axis=(1, 2)) == 0  # black above: wider than high
    assert wide.any() and images[0][wide, 0].any() and images[2][wide, 0].any()
    assert not any(np.array_equal(*pair) for pair in itertools.combinations(images, 2))


def test_each_epoch_and_each_seed_has_an_order_of_its_own():
    orders = [
        tuple(
            visits(
                pipeline.train_batches(
                    numbered(50), 50, seed=seed, epochs=3, start_step=start
                ).take(1)
            )
        )
        for seed, start in [(0, 0), (0, 1), (0, 2), (1, 0)]
    ]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_the_last_batch_weighs_as_much_as_the_others():
    *_, last = pipeline.train_batches(numbered(20), 8, seed=0, epochs=1)
    np.testing.assert_allclose(last["weight"], [2, 2, 2, 2, 0, 0, 0, 0])


def test_hosts_take_their_rows_of_the_same_global_batch(cached: pipeline.Pixels):
    whole = list(pipeline.train_batches(cached, 8, seed=5, epochs=1))
    for host in range(2):
        context = tf.distribute.InputContext(2, host, 4)
        parts = list(pipeline.train_batches(cached, 8, seed=5, epochs=1, context=context))
        assert len(parts) == 2 * len(whole)  # two replicas a host, one after the other
        for k, part in enumerate(parts):
            rows = slice(4 * host + 2 * (k % 2), 4 * host + 2 * (k % 2) + 2)
            assert_same(part, {name: value[rows] for name, value in whole[k // 2].items()})


def test_a_part_of_a_step_holds_the_same_rows_on_any_number_of_replicas(cached: pipeline.Pixels):
    whole = next(iter(pipeline.train_batches(cached, 16, seed=5, epochs=1)))
    for replicas, hosts in ((1, 1), (2, 1), (4, 2)):
        contexts = [tf.distribute.InputContext(hosts, host, replicas) for host in range(hosts)]
        batches = [
            batch
            for context in contexts
            for batch in pipeline.train_batches(
                cached, 16, seed=5, epochs=1, context=context, parts=2
            ).take(replicas // hosts)
        ]
        assert len(batches) == replicas
        for part in range(2):
            size = 8 // replicas
            parts = [{n: v[part * size : (part + 1) * size] for n, v in b.items()} for b in batches]
            found = {name: tf.concat([p[name] for p in parts], 0) for name in whole}
            assert_same(found, {n: v[8 * part : 8 * (part + 1)] for n, v in whole.items()})


def test_evaluation_visits_every_record_once_in_order(cached: pipeline.Pixels):
    np.testing.assert_array_equal(
        visits(pipeline.evaluation_batches(numbered(21), 8)), np.arange(21)
    )
    assert len(list(pipeline.evaluation_batches(cached, 8))) == pipeline.steps(cached.size, 8)


def test_each_epoch_is_shuffled_once(monkeypatch: pytest.MonkeyPatch):
    order, shuffled = pipeline.epoch_order, []

    def counted(seed: int, epoch: tf.Tensor, size: int) -> tf.Tensor:
        tf.numpy_function(lambda number: shuffled.append(int(number)), [epoch], [])
        return order(seed, epoch, size)

    monkeypatch.setattr(pipeline, "epoch_order", counted)
    list(pipeline.train_batches(numbered(16), 4, seed=0, epochs=3))
    assert shuffled[:3] == [0, 1, 2]
