"""MedMNIST's arrays of small images, with the splits that they come in."""

import functools
import io
import os
import threading
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO

import numpy as np
from etils import epath
from numpy.lib import format as npy
from PIL import Image

from trainer.data.sources import files, table_reading
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, ImageRecord
from trainer.data.sources.reading import Reading
from trainer.system import gcs
from trainer.system.errors import UsageError

SPLITS = ("train", "val", "test")
# Yang et al., Scientific Data 10:41 (2023), doi:10.1038/s41597-022-01721-8.
LABELS = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "chestmnist": (
        *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule"),
        *("pneumonia", "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis"),
        *("pleural", "hernia"),
    ),
}
MAX_CLASSES = 1000
MAX_LABEL_BYTES = 256 * 2**20
BLOCK_BYTES = 16 * 2**20  # of pixels that are unpacked at a time
BLOCKS_KEPT = 4
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError, RuntimeError)


@dataclass(frozen=True)
class _Images:
    """The array of a split's images: where its pixels start, and their shape."""

    start: int
    shape: tuple[int, ...]

    @property
    def bytes_each(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def in_block(self) -> int:
        return max(1, BLOCK_BYTES // self.bytes_each)


class MedMnist:
    """An .npz file of MedMNIST: {train,val,test}_{images,labels}; the patients are not known.

    Images are [N, H, W] or [N, H, W, 3] uint8, labels [N, 1] of class numbers or [N, K] of 0 and 1.
    The arrays are unpacked block by block, never whole: records are best read in their order.
    """

    synthetic = False
    identifying = False
    columns: tuple[str, ...] = ()

    def __init__(self, name: str, path: epath.Path):
        self.name = name
        self._path = path
        self._prepare()
        archive = self._archive()
        splits = [s for s in SPLITS if f"{s}_images.npy" in archive.namelist()]
        if not splits:
            raise UsageError(
                f"--source={name} has no train_images: it should hold train_images [N, H, W] "
                "uint8 and train_labels [N, 1], and perhaps val_ and test_ ones, as numpy.savez "
                "writes."
            )
        try:
            self._images = {split: self._header(split) for split in splits}
            labels = {split: self._read_labels(split) for split in splits}
        except DAMAGE as damage:
            raise UsageError(f"--source={name} is damaged: {files.one_line(damage)}.") from None
        names = _class_names(path, labels)
        if len(names) < 2:
            raise UsageError(f"--source={name} has one class: two are needed.")
        self._values, self.labels, self.classes = _labels_by_split(labels, names)
        columns = next(iter(labels.values())).shape[1]
        self.exclusive = columns == 1 and len(names) > 2
        stamps = (f"{m.filename} {m.file_size} {m.CRC}" for m in archive.infolist())
        self.fingerprint = files.digest(stamps)

    def __getstate__(self) -> dict:
        unpicklable = ("_opened", "_streams", "_block", "_lock")
        return {name: value for name, value in vars(self).items() if name not in unpicklable}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._prepare()

    def _prepare(self) -> None:
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        self._streams: dict[str, IO[bytes]] = {}
        self._lock = threading.Lock()
        self._block = functools.lru_cache(BLOCKS_KEPT)(self._read_block)

    @functools.cached_property
    def reading(self) -> Reading:
        """How many images each class and each split has."""
        how = "the class is a number, or a 1 in a column, of the arrays *_labels"
        return table_reading.of_records(self.records(), self.labels, self.classes, how=how)

    def records(self) -> list[ImageRecord]:
        """Returns every record, in the order of the file; see `Source`."""
        return [
            ImageRecord(f"{split}/{number:06d}", values, split=split)
            for split, all_values in self._values.items()
            for number, values in enumerate(all_values)
        ]

    def read(self, record: ImageRecord) -> bytes:
        """Returns the image as PNG."""
        split, _, number = record.name.partition("/")
        images = self._images[split]
        block, within = divmod(int(number), images.in_block)
        try:
            with self._lock, gcs.translate_errors(self.name):
                pixels = self._block(split, block)
        except DAMAGE as damage:
            raise OSError(f"damaged in the archive ({files.one_line(damage)})") from damage
        start = within * images.bytes_each
        image = np.frombuffer(pixels, np.uint8, images.bytes_each, start)
        file = io.BytesIO()
        Image.fromarray(image.reshape(images.shape[1:])).save(file, "PNG")
        return file.getvalue()

    def _archive(self) -> zipfile.ZipFile:
        """Opens the file in each process, since processes would share a handle's position."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), zipfile.ZipFile(gcs.open_seekable(self._path))
            except DAMAGE as damage:
                raise UsageError(
                    f"--source={self.name} is not a complete .npz file: {files.one_line(damage)}."
                ) from None
            self._streams = {}
        return self._opened[1]

    def _read_block(self, split: str, block: int) -> bytes:
        archive, images = self._archive(), self._images[split]
        if split not in self._streams:
            self._streams[split] = archive.open(f"{split}_images.npy")
        size = images.bytes_each * images.in_block
        total = images.bytes_each * images.shape[0]
        size = min(size, total - block * size)
        self._streams[split].seek(images.start + block * images.bytes_each * images.in_block)
        pixels = self._streams[split].read(size)
        if len(pixels) < size:
            raise EOFError("its pixels are cut off")
        return pixels

    def _header(self, split: str) -> _Images:
        with self._archive().open(f"{split}_images.npy") as stream:
            shape, fortran, dtype = _npy_header(stream)
            start = stream.tell()
        gray_or_rgb = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
        if not gray_or_rgb or fortran or dtype != np.uint8 or min(shape) < 1:
            raise ValueError(f"{split}_images is {dtype} {shape} instead of uint8 [N, H, W]")
        if np.prod(shape[1:], dtype=np.float64) > files.MAX_BYTES:
            raise ValueError(f"{split}_images declares images of {shape[1:]}")
        return _Images(start, shape)

    def _read_labels(self, split: str) -> np.ndarray:
        """Returns [N, 1] class numbers, or [N, K] of 0 and 1."""
        with self._archive().open(f"{split}_labels.npy") as stream:
            shape, _, dtype = _npy_header(stream)
        images = self._images[split].shape[0]
        if len(shape) != 2 or shape[0] != images or dtype.kind not in "uib":
            raise ValueError(f"{split}_labels is {dtype} {shape} instead of [{images}, K]")
        if np.prod(shape, dtype=np.float64) * dtype.itemsize > MAX_LABEL_BYTES or shape[1] < 1:
            raise ValueError(f"{split}_labels is {shape}")
        with self._archive().open(f"{split}_labels.npy") as stream:
            labels = npy.read_array(stream, allow_pickle=False)
        if labels.min() < 0 or labels.max() > (1 if shape[1] > 1 else MAX_CLASSES):
            raise ValueError(f"{split}_labels holds values that are not labels")
        return labels.astype(np.int64)


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Returns (shape, whether in Fortran's order, dtype) of the array that follows."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(stream)


def _class_names(path: epath.Path, labels: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Returns the names of the classes or labels: MedMNIST's own, else their numbers."""
    columns = next(iter(labels.values())).shape[1]
    count = columns if columns > 1 else int(max(array.max() for array in labels.values())) + 1
    names = LABELS.get(path.stem.partition("_")[0].lower(), ())
    return names if len(names) == count else tuple(f"class {n}" for n in range(count))


def _labels_by_split(
    labels: dict[str, np.ndarray], names: tuple[str, ...]
) -> tuple[dict[str, list[tuple[int, ...]]], tuple[str, ...], tuple[str, ...]]:
    """Returns (labels of each record by split, label names, classes)."""
    two_classes = len(names) == 2 and next(iter(labels.values())).shape[1] == 1
    kept = names[1:] if two_classes else names
    numbers = range(len(names) - len(kept), len(names))
    values = {}
    for split, array in labels.items():
        positive = array == np.array(numbers) if array.shape[1] == 1 else array == 1
        values[split] = [tuple(row) for row in np.where(positive, POSITIVE, NEGATIVE).tolist()]
    return values, kept, names if two_classes else ()
