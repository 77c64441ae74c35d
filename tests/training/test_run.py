"""A run is refused before any work where its config and its data do not go together."""

from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict

from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT, IndependentLabels
from trainer.system.errors import UsageError
from trainer.training.run import check_replicas, outputs_of


@pytest.mark.parametrize(
    ("exclusive", "name", "outputs"),
    [
        (False, "auto", INDEPENDENT),
        (True, "auto", EXCLUSIVE),
        (True, "softmax", EXCLUSIVE),
        (True, "sigmoid", INDEPENDENT),
        (True, "categorical", EXCLUSIVE),
        (True, "focal", EXCLUSIVE),
        (True, "binary", INDEPENDENT),
        (True, "asymmetric", INDEPENDENT),
    ],
)
def test_outputs_follow_the_data_unless_the_config_says_otherwise(
    tiny: ConfigDict, exclusive: bool, name: str, outputs: IndependentLabels
):
    tiny.loss.name = name
    assert outputs_of(tiny, SimpleNamespace(exclusive=exclusive)) is outputs


@pytest.mark.parametrize(
    ("strategy", "replicas", "deterministic", "obstacle"),
    [
        ("auto", 2, False, "mirrored"),
        ("mirrored", 1, False, "mirrored"),
        ("auto", 1, True, "train.deterministic"),
    ],
)
def test_a_step_that_cannot_be_compiled_as_a_whole_is_refused_where_it_was_asked_for(
    tiny: ConfigDict, strategy: str, replicas: int, deterministic: bool, obstacle: str
):
    tiny.train.deterministic = deterministic
    check_replicas(tiny, strategy, replicas)
    tiny.train.jit = "on"
    with pytest.raises(UsageError, match=f"jit=on does not .* {obstacle}.*jit=auto"):
        check_replicas(tiny, strategy, replicas)
    check_replicas(tiny, "tpu", replicas)
