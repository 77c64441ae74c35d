"""Evaluation takes the parts of training, and outputs that are not finite end it."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import NotFinite
from trainer.system.watchdog import Watchdog
from trainer.training.evaluator import Evaluator
from trainer.training.state import create_state


def test_outputs_that_are_not_finite_end_it_and_parts_change_nothing(
    tiny: ConfigDict, phantoms: epath.Path, one_device: tf.distribute.Strategy
):
    split, state, seen = pipeline.open_split(phantoms, "test"), create_state(tiny, 10, 10), []
    replicas = Replicas(one_device, "a test")
    for tiny.train.accumulate in (1, 4):
        pixels = pipeline.pixels(split, tiny.data.image_size, "host")
        process = {"signals": StopSignals(), "watchdog": Watchdog()}
        evaluator = Evaluator(
            replicas, state.averaged, split, pixels=pixels, config=tiny, **process
        )
        seen.append(evaluator.scores().logits)
    np.testing.assert_allclose(*seen, atol=1e-5)
    state.averaged.trainable_variables[-1].assign([np.nan])
    with pytest.raises(NotFinite, match="test images"):
        evaluator.scores()
