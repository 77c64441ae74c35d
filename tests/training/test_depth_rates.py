"""Early layers learn more slowly, and all but the head only from an epoch on."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.training.state import State, create_state

Steps = Callable[..., list[dict[str, np.ndarray]]]


@pytest.fixture
def tiny(tiny: ConfigDict) -> ConfigDict:
    tiny.model.stages, tiny.train.ema, tiny.schedule.warmup_epochs = 1, 0.0, 0.0
    tiny.schedule.name, tiny.optimizer.weight_decay = "constant", 0.1
    return tiny


def moved(before: dict, after: dict) -> dict[str, float]:
    """Returns how far each trained variable went."""
    names = [n for n in after if n.startswith("model/") and "moving" not in n]
    return {n: float(np.linalg.norm(after[n] - before[n])) for n in names}


def begun(state: State) -> dict[str, np.ndarray]:
    return {name: v.numpy() for name, v in state.variables().items()}


def test_the_rate_falls_geometrically_from_the_head_to_the_first_layer(
    tiny: ConfigDict, steps_of: Steps, one_device: tf.distribute.Strategy
):
    tiny.optimizer.name, seen = "sgd", []
    for tiny.optimizer.layer_decay in (1.0, 0.01):
        state = create_state(tiny, 10, 10)
        seen.append(moved(begun(state), *steps_of(one_device, state, range(1))))
    full, less = seen
    ratios = {name: less[name] / full[name] for name in full if full[name]}
    assert ratios["model/stem/kernel"] == pytest.approx(0.01, rel=1e-2)
    assert ratios["model/logits/kernel"] == pytest.approx(1, rel=1e-3)
    assert 0.01 < ratios["model/stem_norm/beta"] < ratios["model/logits/kernel"]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_head_learns_first_and_a_resume_across_the_border_is_exact(
    tiny: ConfigDict, steps_of: Steps, two_replicas: tf.distribute.Strategy, name: str
):
    tiny.optimizer.name, tiny.train.freeze_epochs = name, 1
    with two_replicas.scope():
        state = create_state(tiny, 10, 2)
    start = begun(state)
    frozen, still_frozen, free, later = steps_of(two_replicas, state, range(4))
    for before, after in ((start, frozen), (frozen, still_frozen)):
        assert {n for n, far in moved(before, after).items() if far} == {
            "model/logits/kernel",
            "model/logits/bias",
        }
    steps = moved(still_frozen, free), moved(free, later)
    assert steps[0]["model/stem/kernel"] > 0
    for path in (path for path, far in steps[1].items() if far):
        assert steps[0][path] < 3 * steps[1][path]  # a first step is no leap
    for path, variable in state.variables().items():
        variable.assign(frozen[path])
    *_, resumed = steps_of(two_replicas, state, range(1, 4))
    for path, value in resumed.items():
        np.testing.assert_array_equal(value, later[path], err_msg=path)
