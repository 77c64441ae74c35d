"""Everything that is written for TensorBoard, and the pictures that the report shows too."""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.util.tensor_util import make_tensor_proto

from trainer.show.pictures import canvas
from trainer.show.pictures.tiles import Sheet, TileGroup
from trainer.system import atomic, gcs

BUCKETS = 30
SCALAR, IMAGE, HISTOGRAM = (
    plugin.create_summary_metadata(display_name="", description="")
    for plugin in (scalar_metadata, image_metadata, histogram_metadata)
)

# Ends the names of a run's files of events, so that those of other programs are left alone.
SUFFIX = ".radiograph-trainer.v2"

# In a bucket each flush writes a file of events anew and whole, and none may be written more often
# than once a second. What is not flushed by `Summaries.flush` is by TensorFlow, every two minutes.
IN_BUCKET = {"max_queue": 1000}


# TensorBoard shows groups by the alphabet, the first two open: "metrics", "network". What is in no
# group here is a result.
GROUPS = {
    "activations": "network",
    "activations_whole": "network",
    "explanations": "network",
    "filters": "network",
    "samples": "radiographs",
    "augmented": "radiographs",
}


class Figure(NamedTuple):
    """Something to show.

    Attributes:
      tag: its name, as in TensorBoard.
      kind: "picture" or "histogram".
      value: [H, W, 3] uint8, or the values of the histogram.
      groups: where the tiles of a picture lie, see `Sheet`.
      small: what TensorBoard shows instead, where `value` is too rich for its small pictures.
    """

    tag: str
    kind: str
    value: np.ndarray
    groups: Sequence[TileGroup] = ()
    small: np.ndarray | None = None


class Summaries:
    """Writes events and pictures.

    The parts of a run, such as train and validation, write the same tags into folders of their
    own, so that TensorBoard draws their curves on one chart.

    Args:
      events: folder of TensorBoard's events, with a folder for each part.
      pictures: folder of the pictures, likewise.
      restored_step: the step after which a run goes on; a TensorBoard that was open all the while
        forgets the later ones, which come again.
    """

    def __init__(self, events: epath.Path, pictures: epath.Path, restored_step: int = 0):
        self._events, self._pictures = events, pictures
        self._restored_step = restored_step
        self._checked = _lengths(events)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def scalars(self, part: str, step: int, values: Mapping[str, float | None]) -> None:
        """Writes what is defined of `values`."""
        known = {
            tag: np.array(value, np.float32) for tag, value in values.items() if value is not None
        }
        self._write(part, step, [_value(tag, value, SCALAR) for tag, value in known.items()])

    def text(self, tag: str, markdown: str) -> None:
        """Writes a text, which TensorBoard shows as Markdown."""
        with self._writer("train").as_default(0):
            tf.summary.text(tag, markdown)

    def figures(self, part: str, step: int, figures: Iterable[Figure]) -> None:
        """Writes figures; pictures as files `PART/TAG.png`, too."""
        values = []
        for figure in figures:
            if figure.kind == "picture":
                png = Sheet(figure.value, figure.groups).png()
                atomic.write_bytes(self._pictures / part / f"{figure.tag}.png", png)
                if figure.small is not None:
                    png = canvas.png(figure.small)
                height, width, _ = (figure.value if figure.small is None else figure.small).shape
                content = np.array([b"%d" % width, b"%d" % height, png], object)
                values.append(_value(_grouped(figure.tag), content, IMAGE))
            else:
                values.append(_value(figure.tag, _histogram(figure.value), HISTOGRAM))
        self._write(part, step, values)

    def graph(self, part: str, graph: tf.compat.v1.GraphDef) -> None:
        """Writes the graph of the network."""
        with self._writer(part).as_default(0):
            tf.summary.graph(graph)

    def raw(self, part: str, summary: bytes) -> None:
        """Writes a serialised Summary that concerns the run as a whole."""
        self._raw(part, 0, summary)

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

    def _write(self, part: str, step: int, values: Iterable[Summary.Value]) -> None:
        """Writes all values at once: a call for each would take most of the time."""
        self._raw(part, step, Summary(value=values).SerializeToString())

    def _raw(self, part: str, step: int, summary: bytes) -> None:
        with self._writer(part).as_default(step):
            tf.summary.experimental.write_raw_pb(summary, step=step)

    def _writer(self, part: str) -> tf.summary.SummaryWriter:
        if part not in self._writers:
            folder = str(self._events / part)
            options = IN_BUCKET if gcs.is_gcs(folder) else {}
            writer = tf.summary.create_file_writer(folder, filename_suffix=SUFFIX, **options)
            self._writers[part] = writer
            # TensorBoard takes the second start, and those after it, for a restart at that step.
            step = self._restored_step + 1 if self._restored_step else 0
            start = Event(step=step, session_log=SessionLog(status=SessionLog.START))
            # There is no public function for an event that is no summary.
            tf.raw_ops.ImportEvent(writer=writer._resource, event=start.SerializeToString())
        return self._writers[part]


def rewind(events: epath.Path, lengths: dict[str, int]) -> None:
    """Takes back all events after `flush` returned `lengths`: their steps will come again.

    Those above the parts, of an older version, would be a run of their own. Files that other
    programs wrote there stay as they are.
    """
    for file in _event_files(events):
        length = lengths.get(_name(file), 0)
        if length == 0 or file.parent == events:
            file.unlink()
        elif length < gcs.size(file):
            atomic.write_bytes(file, file.read_bytes()[:length])


def _grouped(tag: str) -> str:
    """Returns the tag of a picture in the group of cards that TensorBoard shows it in."""
    return f"{GROUPS.get(tag.partition('/')[0], 'results')}/{tag}"


def _value(tag: str, content: np.ndarray | np.float32, metadata: SummaryMetadata) -> Summary.Value:
    return Summary.Value(tag=tag, tensor=make_tensor_proto(content), metadata=metadata)


def _histogram(values: np.ndarray) -> np.ndarray:
    """Returns left and right edge and count of each bin; what is no number is not counted."""
    finite = np.isfinite(values)
    counts, edges = np.histogram(values if finite.all() else values[finite], BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _event_files(events: epath.Path) -> list[epath.Path]:
    if not events.exists():
        return []
    name = f"events.out.tfevents.*{SUFFIX}"
    return sorted([*events.glob(name), *events.glob(f"*/{name}")])


def _lengths(events: epath.Path) -> dict[epath.Path, int]:
    return {file: gcs.size(file) for file in _event_files(events)}


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
