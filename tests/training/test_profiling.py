"""Steps are traced from A to B by the chief, and a trace is always closed."""

from types import SimpleNamespace

import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.training.profiling import Profile


def profile(steps: str, folder: epath.Path, is_chief: bool = True) -> Profile:
    config = ConfigDict({"profile": {"steps": steps}})
    return Profile(config, folder, SimpleNamespace(is_chief=is_chief))


def traces(folder: epath.Path) -> list[epath.Path]:
    return list(folder.glob("plugins/profile/*/*.xplane.pb"))


def test_the_steps_between_are_traced(tmp_path: epath.Path):
    folder = epath.Path(tmp_path)
    trace = profile("2,4", folder)
    for step in range(6):
        trace.at(step)
        tf.linalg.matmul(tf.ones([8, 8]), tf.ones([8, 8]))
        assert bool(traces(folder)) == (step >= 4)
    trace.close()
    assert len(traces(folder)) == 1


@pytest.mark.parametrize("begins_at", [0, 3])
def test_a_run_that_begins_or_ends_within_traces_what_it_takes(
    tmp_path: epath.Path, begins_at: int
):
    trace = profile("0,9", epath.Path(tmp_path))
    trace.at(begins_at)
    trace.close()
    assert len(traces(epath.Path(tmp_path))) == 1


@pytest.mark.parametrize(("steps", "is_chief"), [("", True), ("0,1", False)])
def test_nothing_is_traced_unless_asked_and_by_the_chief_alone(
    tmp_path: epath.Path, steps: str, is_chief: bool
):
    trace = profile(steps, epath.Path(tmp_path), is_chief)
    trace.at(0)
    trace.close()
    assert not list(tmp_path.iterdir())
