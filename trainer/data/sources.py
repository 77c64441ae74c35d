"""Where radiographs come from: an archive, class folders, or phantoms."""

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Protocol

from etils import epath

from trainer.data import phantom
from trainer.entry import Refusal

SPLIT_FOLDERS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_finding", "control")
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".pgm")

# The public Kermany names. Each series counts its patients by itself, so that
# person3_bacteria and person3_virus are two patients.
PATIENT_NAMES = re.compile(
    r"(?P<series>person|(?:NORMAL\d*-)?IM-)(?P<number>\d+)(?P<kind>_bacteria|_virus)?[-_]"
)


@dataclass(frozen=True)
class Record:
    """One image file of a source.

    Attributes:
      name: path inside the source; tells the record apart from all others.
      read: returns the file's bytes.
      class_name: the class folder it lies in.
      patient: series and number, or the name itself where nothing tells the patient.
      split: "train", "val", "test", or "" where the source has no split folders.
    """

    name: str
    read: Callable[[], bytes]
    class_name: str
    patient: str
    split: str


class Source(Protocol):
    """What `trainer.data.prepare` reads from.

    Attributes:
      name: as the user gave it.
      synthetic: True for phantoms.
      fingerprint: changes when the content does.
    """

    name: str
    synthetic: bool
    fingerprint: str

    def records(self) -> Iterator[Record]:
        """Yields every record, in a fixed order."""


def open_source(name: str, seed: int = 0) -> Source:
    """Returns the source that `--source=name` means.

    Raises:
      Refusal: if there is no such source, or it is of no known kind.
    """
    if name.startswith("phantom:"):
        count = name.removeprefix("phantom:")
        if not count.isdigit() or int(count) < 20:
            raise Refusal(f"--source={name}: give phantom:N with N of at least 20 images.")
        return Phantoms(name, int(count), seed)
    path = epath.Path(name)
    if not path.exists():
        raise Refusal(f"--source={name} does not exist: give a .zip, a folder or phantom:N.")
    if path.is_dir():
        return Folder(path)
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise Refusal(f"--source={name} is no zip archive: give a .zip, a folder or phantom:N.")
    return Archive(path)


class Archive:
    """A zip archive in the public layout, read without unpacking it."""

    synthetic = False

    def __init__(self, path: epath.Path):
        self.name = str(path)
        self._archive = zipfile.ZipFile(path.open("rb"))
        members = [m for m in self._archive.infolist() if not m.is_dir()]
        self._names = {m.filename for m in members}
        self.fingerprint = _digest(f"{m.filename} {m.file_size} {m.CRC}" for m in members)

    def records(self) -> Iterator[Record]:
        for name, place in _laid_out(self._names, self.name):
            yield _record(name, place, partial(self._archive.read, name))


class Folder:
    """A folder with train/, val/ and test/ of class folders, or of class folders alone."""

    synthetic = False

    def __init__(self, path: epath.Path):
        self.name = str(path)
        self._files = {str(file.relative_to(path)): file for file in _files_under(path)}
        self.fingerprint = _digest(
            f"{name} {file.stat().length} {file.stat().mtime}" for name, file in self._files.items()
        )

    def records(self) -> Iterator[Record]:
        for name, place in _laid_out(self._files, self.name):
            yield _record(name, place, self._files[name].read_bytes)


class Phantoms:
    """Synthetic radiographs under the layout and the naming of the public archive."""

    synthetic = True

    def __init__(self, name: str, images: int, seed: int):
        self.name = name
        self._images, self._seed = images, seed
        self.fingerprint = _digest([f"{images} {seed}"])

    def records(self) -> Iterator[Record]:
        for name, data in phantom.archive(self._images, self._seed):
            yield _record(name, _place(name.split("/")), partial(bytes, data))


def patient_of(name: str) -> str:
    """Returns the patient that an image belongs to, by the naming of the public sets.

    "train/PNEUMONIA/person3_virus_15.jpeg" -> "person_virus-3". A name that tells no patient is
    a patient of its own.
    """
    match = PATIENT_NAMES.match(PurePosixPath(name).name)
    if not match:
        return name
    series = match["series"].rstrip("-") + (match["kind"] or "")
    return f"{series}-{int(match['number'])}"


def order_classes(names: set[str]) -> list[str]:
    """Returns the class names with the healthy one first: its label is 0."""
    return sorted(names, key=lambda n: (n.lower().replace(" ", "_") not in NEGATIVE_NAMES, n))


def _laid_out(names: Iterable[str], source: str) -> list[tuple[str, tuple[str, str, str]]]:
    """Returns (name, (split, class, file)) of what lies in class folders.

    Archives made on a Mac hold `__MACOSX` shadows, and the public one holds a second copy of
    itself one folder deeper: of files that agree in split, class and name the least deep counts.
    """
    found: dict[tuple[str, str, str], str] = {}
    for name in sorted(names, key=lambda n: (n.count("/"), n)):
        parts = name.split("/")
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if hidden or len(parts) < 2 or parts[-1] == "Thumbs.db":
            continue
        found.setdefault(_place(parts), name)
    if not any(name.lower().endswith(IMAGE_SUFFIXES) for name in found.values()):
        raise Refusal(
            f"--source={source} holds no images in class folders: it should hold "
            "train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE."
        )
    has_splits = any(split for split, *_ in found)
    return sorted((name, place) for place, name in found.items() if bool(place[0]) == has_splits)


def _place(parts: list[str]) -> tuple[str, str, str]:
    split = parts[-3].lower() if len(parts) > 2 else ""
    return SPLIT_FOLDERS.get(split, ""), parts[-2], parts[-1]


def _record(name: str, place: tuple[str, str, str], read: Callable[[], bytes]) -> Record:
    split, class_name, _ = place
    return Record(name, read, class_name, patient_of(name), split)


def _files_under(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields every file below `folder` in order (epath has no rglob)."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files_under(path)
        else:
            yield path


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
