"""Evaluation takes the parts of training, and outputs that are not finite end it."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import data_split, device_cache, pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import NotFinite
from trainer.system.watchdog import Watchdog
from trainer.training import evaluation_loop
from trainer.training.evaluator import Evaluator
from trainer.training.state import create_state


def test_outputs_that_are_not_finite_end_it_and_neither_parts_nor_caches_change_them(
    tiny: ConfigDict, phantoms: epath.Path, one_device: tf.distribute.Strategy
):
    tiny.model.stages = 1
    split, state, seen = data_split.open_split(phantoms, "test"), create_state(tiny, 10, 10), []
    replicas = Replicas(one_device, "a test")
    for tiny.train.accumulate in (1, 4):
        pixels = pipeline.pixels(split, tiny.data.image_size, "host")
        process = {"signals": StopSignals(), "watchdog": Watchdog()}
        evaluator = Evaluator(replicas, state.averaged, config=tiny, **process)
        seen.append(evaluator.scores(split, pixels).logits)
    np.testing.assert_allclose(*seen, atol=1e-5)
    arrays = pipeline.arrays(split, tiny.data.image_size, fit_mode="squash")
    on_device = device_cache.DevicePixels(*arrays, one_device)
    for limit in (None, np.array([2, 3, 7]), None):
        from_host, from_device = (
            evaluator.scores(split, where, limit) for where in (pixels, on_device)
        )
        np.testing.assert_array_equal(from_host.columns(), from_device.columns())
    state.averaged.trainable_variables[-1].assign([np.nan])
    with pytest.raises(NotFinite, match="test images"):
        evaluator.scores(split, pixels)


@pytest.mark.parametrize("strategy", ["one_device", "two_replicas"])
def test_its_loop_is_traced_once_for_all_splits(
    tiny: ConfigDict,
    phantoms: epath.Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
):
    traced, images_to_float = [], evaluation_loop.images_to_float
    monkeypatch.setattr(
        evaluation_loop, "images_to_float", lambda i: traced.append(i) or images_to_float(i)
    )
    replicas = Replicas(request.getfixturevalue(strategy), "a test")
    tiny.model.stages = 1
    with replicas.strategy.scope():
        state = create_state(tiny, 10, 10)
    process = {"signals": StopSignals(), "watchdog": Watchdog()}
    evaluator = Evaluator(replicas, state.averaged, config=tiny, **process)
    for name in ("validation", "test", "validation"):
        split = data_split.open_split(phantoms, name)
        pixels = pipeline.pixels(split, tiny.data.image_size, "host")
        assert len(evaluator.scores(split, pixels).logits) == split.size
    assert len(traced) == replicas.strategy.num_replicas_in_sync
