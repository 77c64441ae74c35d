"""Everything that is written for TensorBoard, and the pictures that the report shows too."""

import errno
import os

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import explain, pictures, whole
from trainer.step import images_to_float, repeat_channels


class Summaries:
    """Writes events under `workdir/tensorboard` and pictures under `workdir/pictures`.

    Train and validation write the same tags into two folders, so that TensorBoard draws both
    curves on one chart.
    """

    def __init__(self, workdir: epath.Path):
        self._events = workdir / "tensorboard"
        self._checked = _lengths(self._events)
        self._writers = {
            name: tf.summary.create_file_writer(str(self._events / name))
            for name in ("train", "validation")
        }
        self._pictures = workdir / "pictures"

    def scalars(self, part: str, step: int, values: dict[str, float | None]) -> None:
        """Writes what is defined of `values` for "train" or "validation"."""
        with self._writers[part].as_default(step):
            for tag, value in values.items():
                if value is not None:
                    tf.summary.scalar(tag, value)

    def text(self, tag: str, text: str) -> None:
        """Writes a text, its white space kept."""
        with self._writers["train"].as_default(0):
            tf.summary.text(tag, "\n".join(f"    {line}" for line in text.splitlines()))

    def picture(self, tag: str, file: str, step: int, picture: np.ndarray) -> None:
        """Writes a picture [H, W, 3] uint8 as a summary and as `pictures/file`."""
        with self._writers["train"].as_default(step):
            tf.summary.image(tag, picture[None])
        path = self._pictures / file
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(path, pictures.png(picture))

    def flush(self) -> dict[str, int]:
        """Makes what was written visible; returns how long each file of events is, in bytes.

        Raises:
          OSError: if events were lost, of which TensorFlow does not always tell.
        """
        for writer in self._writers.values():
            writer.flush()
        lengths = _lengths(self._events)
        for file, length in lengths.items():
            _check_records(file, self._checked.get(file, 0), length)
        self._checked = lengths
        return {_name(file): length for file, length in lengths.items()}


def rewind(workdir: epath.Path, lengths: dict[str, int]) -> None:
    """Takes back all events after `flush` returned `lengths`: their steps will come again."""
    events = workdir / "tensorboard"
    for file in _event_files(events):
        length = lengths.get(_name(file), 0)
        if length == 0:
            file.unlink()
        elif length < file.stat().length:
            whole.write_bytes(file, file.read_bytes()[:length])


def _event_files(events: epath.Path) -> list[epath.Path]:
    return sorted(events.glob("*/events.out.tfevents.*")) if events.exists() else []


def _lengths(events: epath.Path) -> dict[epath.Path, int]:
    return {file: file.stat().length for file in _event_files(events)}


def _check_records(file: epath.Path, start: int, end: int) -> None:
    """Raises an OSError unless whole records lie between two places of a file of events.

    Where the disk was full for a while, a part of one is missing, and TensorBoard reads no
    further.
    """
    with file.open("rb") as records:
        while start < end:
            records.seek(start)
            # The length, its checksum of 4 bytes, the content, and its checksum.
            start += int.from_bytes(records.read(8), "little") + 16
    if start != end:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))


def _name(file: epath.Path) -> str:
    return f"{file.parent.name}/{file.name}"


class ActivationWatch:
    """Shows how fixed examples flow through the inner layers, as training goes on.

    Args:
      model: the network to look into.
      images: fixed examples, [n, S, S, 1] uint8.
      captions: one for each.
    """

    def __init__(self, model: tf.keras.Model, images: np.ndarray, captions: list[str]):
        self._model = explain.activation_model(model)
        grey = images_to_float(tf.constant(images))
        self._images = repeat_channels(grey, model.input_shape[-1]).numpy()
        self._captions = captions

    def write(self, summaries: Summaries, step: int) -> None:
        """Writes a montage of every convolution and pooling layer."""
        maps = explain.activation_maps(self._model, self._images)
        for number, (layer, activations) in enumerate(maps.items(), 1):
            montage = pictures.activation_montage(layer, activations, self._captions)
            name = f"{number:02d}_{layer}"
            summaries.picture(f"activations/{name}", f"activations/{name}.png", step, montage)
