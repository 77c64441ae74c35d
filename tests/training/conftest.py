"""What the tests of training share: steps without the data pipeline, and without compiling."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.training.global_batch import Batch
from trainer.training.siamese_step import step_class
from trainer.training.state import State

BATCH = 4


@pytest.fixture
def steps_of(tiny: ConfigDict) -> Callable[..., list[dict[str, np.ndarray]]]:
    """Returns what takes steps on random images, uncompiled, and tells the weights after each."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (4, BATCH, 32, 32, 1)).astype(np.uint8)
    labels = draw.integers(0, 2, (4, BATCH, 1)).astype(np.float32)

    def batch(step: int, part: slice) -> Batch:
        rows = np.arange(BATCH, dtype=np.int32)[part]
        columns = {"image": images[step], "label": labels[step], "weight": np.ones(BATCH, "f")}
        found = {name: tf.constant(column[rows]) for name, column in columns.items()}
        return found | {"row": tf.constant(rows)}

    def steps_of(
        strategy: tf.distribute.Strategy, state: State, steps: range
    ) -> list[dict[str, np.ndarray]]:
        take_step, seen = step_class(tiny)(state, tiny), []
        share = BATCH // strategy.num_replicas_in_sync
        for step in steps:
            given = strategy.experimental_distribute_values_from_function(
                lambda context, step=step: batch(
                    step, slice(share * (at := context.replica_id_in_sync_group), share * (at + 1))
                )
            )
            strategy.run(take_step, args=(given,))
            state.step.assign_add(1)
            seen.append({name: v.numpy() for name, v in state.variables().items()})
        return seen

    return steps_of
