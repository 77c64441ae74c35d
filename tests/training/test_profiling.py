"""Steps are traced from A to B, and a trace is always closed."""

import tensorflow as tf
from etils import epath

from trainer.training.profiling import Profile


def traces(folder: epath.Path) -> list[epath.Path]:
    return list(folder.glob("plugins/profile/*/*.xplane.pb"))


def test_the_steps_between_are_traced(tmp_path: epath.Path):
    folder = epath.Path(tmp_path)
    trace = Profile([2, 4], folder)
    for step in range(6):
        trace.at(step)
        tf.linalg.matmul(tf.ones([8, 8]), tf.ones([8, 8]))
        assert bool(traces(folder)) == (step >= 4)
    trace.close()
    assert len(traces(folder)) == 1


def test_a_run_that_goes_on_within_traces_what_is_left(tmp_path: epath.Path):
    folder = epath.Path(tmp_path)
    trace = Profile([2, 4], folder)
    trace.at(3)
    trace.at(4)
    assert len(traces(folder)) == 1


def test_a_run_that_ends_within_closes_its_trace(tmp_path: epath.Path):
    folder = epath.Path(tmp_path)
    trace = Profile([0, 9], folder)
    trace.at(0)
    trace.close()
    assert len(traces(folder)) == 1


def test_nothing_is_traced_unless_asked(tmp_path: epath.Path):
    trace = Profile([], epath.Path(tmp_path))
    trace.at(0)
    trace.close()
    assert not list(tmp_path.iterdir())
