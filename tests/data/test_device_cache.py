"""Batches that a device looks up are those that the host sends."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from trainer.data import data_split, device_cache, pipeline
from trainer.data.device_cache import DeviceBatches

SIZE = 24


@pytest.fixture(scope="module")
def arrays(phantoms: epath.Path) -> tuple[np.ndarray, np.ndarray]:
    split = data_split.open_split(phantoms, "test")
    return pipeline.arrays(split, SIZE, fit_mode="squash")


@pytest.mark.parametrize("strategy", ["one_device", "two_replicas"])
def test_a_device_looks_up_the_batches_that_the_host_sends(
    arrays: tuple[np.ndarray, np.ndarray], request: pytest.FixtureRequest, strategy: str
):
    replicas = request.getfixturevalue(strategy)
    pixels, kept = device_cache.DevicePixels(*arrays, replicas), pipeline.gathered(*arrays)
    order = {"seed": 3, "epochs": 3}
    for global_batch, more in (  # the last spans several epochs
        (8, {"start_step": 0, "parts": 1}),
        (8, {"start_step": 5, "parts": 2}),
        (4 * len(arrays[0]) // 2, {"start_step": 0, "parts": 1}),
    ):
        steps = pipeline.steps(3 * len(arrays[0]), global_batch) - more["start_step"]
        sent = replicas.distribute_datasets_from_function(
            lambda context, size=global_batch, more=more: pipeline.train_batches(
                kept, size, context=context, **order, **more
            )
        )
        looked_up = device_cache.train_batches(pixels, global_batch, **order, **more)
        assert_same(replicas, looked_up, sent, steps)
    for limit in (None, np.array([1, 4, 9])):
        visited = len(arrays[0]) if limit is None else len(limit)
        looked_up = device_cache.evaluation_batches(pixels, 6, limit=limit)
        for _ in range(2):
            sent = replicas.distribute_datasets_from_function(
                lambda context, limit=limit: pipeline.evaluation_batches(
                    kept, 6, context, limit=limit
                )
            )
            assert_same(replicas, looked_up, sent, pipeline.steps(visited, 6))
            looked_up.restart()


def test_the_program_is_given_the_images_and_copies_whole_rows_of_them(
    arrays: tuple[np.ndarray, np.ndarray], one_device: tf.distribute.Strategy
):
    pixels, size = device_cache.DevicePixels(*arrays, one_device), len(arrays[0])
    batches = device_cache.train_batches(pixels, 8, seed=0, epochs=1)
    look_up = tf.function(
        lambda rows: batches.look_up({"row": rows})["image"], jit_compile=True, autograph=False
    )
    program = look_up.experimental_get_compiler_ir(tf.TensorSpec([8], tf.int32))(stage="hlo")
    bytes_of_row = SIZE**2
    assert f"u8[{size},{bytes_of_row}]{{1,0}} parameter" in program
    assert f"slice_sizes={{1,{bytes_of_row}}}" in program


def assert_same(
    replicas: tf.distribute.Strategy,
    looked_up: DeviceBatches,
    sent: tf.distribute.DistributedDataset,
    steps: int,
) -> None:
    @tf.function
    def next_batch() -> dict:
        return replicas.run(looked_up.look_up, args=(next(looked_up),))

    expected = list(sent)
    assert len(expected) == steps
    for batch in expected:
        for name, values in next_batch().items():
            local = (replicas.experimental_local_results(v) for v in (values, batch[name]))
            for ours, theirs in zip(*local, strict=True):
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
