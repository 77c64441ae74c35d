"""TensorBoard gets what a person wants to see, and what is lost on the way is noticed."""

import io
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from PIL import Image
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from trainer.show import dashboards, summaries
from trainer.show.summaries import Figure, Summaries


def writing(workdir: Path) -> Summaries:
    return Summaries(epath.Path(workdir) / "tensorboard", epath.Path(workdir) / "pictures")


def events(workdir: Path, part: str) -> EventAccumulator:
    return EventAccumulator(str(workdir / "tensorboard" / part), {"tensors": 0}).Reload()


def test_undefined_metrics_are_left_out(tmp_path: Path):
    written = writing(tmp_path)
    written.scalars("validation", 3, {"auc": None, "accuracy": 0.5})
    written.flush()
    found = events(tmp_path, "validation")
    assert found.Tags()["tensors"] == ["accuracy"]
    assert found.Tensors("accuracy")[0].step == 3


def test_a_picture_is_a_summary_and_a_file_of_the_same_pixels(tmp_path: Path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    written = writing(tmp_path)
    written.figures("test", 7, [Figure("activations/01_conv1", "picture", picture)])
    written.flush()
    (event,) = events(tmp_path, "test").Tensors("network/activations/01_conv1")
    width, height, png = tensor_util.make_ndarray(event.tensor_proto)
    assert (int(width), int(height), event.step) == (30, 20, 7)
    file = tmp_path / "pictures/test/activations/01_conv1.png"
    for content in (png, file.read_bytes()):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)


def test_a_histogram_counts_every_value_that_is_a_number(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(10, 20)).astype(np.float32)
    values[0, 0] = np.nan
    written = writing(tmp_path)
    given = {"weights/kernel": values, "weights/none": np.full(3, np.inf)}
    figures = [Figure(tag, "histogram", value) for tag, value in given.items()]
    written.figures("validation", 1, figures)
    written.flush()
    found = events(tmp_path, "validation")
    left, right, count = tensor_util.make_ndarray(found.Tensors("weights/kernel")[0].tensor_proto).T
    assert count.sum() == 199
    assert left[0] == pytest.approx(np.nanmin(values)) and right[-1] == np.nanmax(values)
    none = tensor_util.make_ndarray(found.Tensors("weights/none")[0].tensor_proto)
    assert none[:, 2].sum() == 0


def test_a_small_picture_is_for_tensorboard_alone(tmp_path: Path):
    large, small = np.zeros((60, 90, 3), np.uint8), np.zeros((20, 30, 3), np.uint8)
    written = writing(tmp_path)
    written.figures("test", 7, [Figure("errors", "picture", large, small=small)])
    written.flush()
    (event,) = events(tmp_path, "test").Tensors("results/errors")
    width, height, _ = tensor_util.make_ndarray(event.tensor_proto)
    assert (int(width), int(height)) == (30, 20)
    with Image.open(tmp_path / "pictures/test/errors.png") as picture:
        assert picture.size == (90, 60)


def test_events_after_the_checkpoint_are_taken_back(tmp_path: Path):
    written = writing(tmp_path)
    written.raw("", dashboards.layout())  # as older versions did
    written.scalars("train", 1, {"loss": 1.0})
    lengths = written.flush()
    written.scalars("train", 2, {"loss": 2.0})
    written.scalars("test", 2, {"loss": 2.0})
    written.flush()
    summaries.rewind(epath.Path(tmp_path) / "tensorboard", lengths)
    assert [event.step for event in events(tmp_path, "train").Tensors("loss")] == [1]
    assert not list((tmp_path / "tensorboard/test").iterdir())
    assert not list((tmp_path / "tensorboard").glob("events*"))  # it would be one more run


def test_open_tensorboard_forgets_the_steps_that_come_again(tmp_path: Path):
    written = writing(tmp_path)
    written.scalars("train", 1, {"loss": 1.0})
    lengths = written.flush()
    written.scalars("train", 2, {"loss": 2.0})
    written.flush()
    opened = plugin_event_accumulator.EventAccumulator(str(tmp_path / "tensorboard/train")).Reload()
    assert [event.step for event in opened.Tensors("loss")] == [1, 2]
    summaries.rewind(epath.Path(tmp_path) / "tensorboard", lengths)
    resumed = Summaries(epath.Path(tmp_path) / "tensorboard", epath.Path(tmp_path), restored_step=1)
    resumed.scalars("train", 2, {"loss": 3.0})
    resumed.scalars("train", 3, {"loss": 4.0})
    resumed.flush()
    found = opened.Reload().Tensors("loss")
    assert [event.step for event in found] == [1, 2, 3]
    assert tensor_util.make_ndarray(found[1].tensor_proto) == 3.0


def test_events_of_another_program_are_left_alone(tmp_path: Path):
    other = tmp_path / "tensorboard/train/events.out.tfevents.1.host.1.0.v2"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"not even events")
    written = writing(tmp_path)
    written.scalars("train", 1, {"loss": 1.0})
    assert not [name for name in written.flush() if name.endswith(other.name)]
    summaries.rewind(epath.Path(tmp_path) / "tensorboard", {f"train/{other.name}": 3})
    assert [file.name for file in other.parent.iterdir()] == [other.name]
    assert other.read_bytes() == b"not even events"
