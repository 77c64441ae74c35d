"""Where radiographs come from: an archive, class folders, or phantoms."""

import functools
import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from etils import epath

from trainer.data import phantom
from trainer.data.sources.record import NEGATIVE, POSITIVE, Record, Source
from trainer.entry import Refusal

SPLIT_FOLDERS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_finding", "control")
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".pgm")

# The public Kermany names. Each series counts its patients by itself, so that
# person3_bacteria and person3_virus are two patients.
PATIENT_NAMES = re.compile(
    r"(?P<series>person|(?:NORMAL\d*-)?IM-)(?P<number>\d+)(?P<kind>_bacteria|_virus)?[-_]"
)


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


class _ClassFolders:
    """What archives, folders and phantoms share: images in class folders, perhaps in splits."""

    synthetic = False

    def __init__(self, name: str, files: Iterable[str], fingerprint: str):
        self.name, self.fingerprint = name, fingerprint
        self._places = _laid_out(files, name)
        names = order_classes({class_name for _, (_, class_name, _) in self._places})
        if len(names) < 2:
            raise Refusal(f"--source={name} has the one class {names[0]}: two are needed.")
        self.classes = tuple(names) if len(names) == 2 else ()
        self.labels = tuple(names[1:]) if len(names) == 2 else tuple(names)

    def records(self) -> list[Record]:
        return [
            Record(name, self._labels_of(class_name), patient_of(name), split)
            for name, (split, class_name, _) in self._places
        ]

    def _labels_of(self, class_name: str) -> tuple[int, ...]:
        return tuple(POSITIVE if label == class_name else NEGATIVE for label in self.labels)


class Archive(_ClassFolders):
    """A zip archive in the public layout, read without unpacking it."""

    def __init__(self, path: epath.Path):
        self._path = path
        members = [m for m in self._archive.infolist() if not m.is_dir()]
        fingerprint = _digest(f"{m.filename} {m.file_size} {m.CRC}" for m in members)
        super().__init__(str(path), [m.filename for m in members], fingerprint)

    @functools.cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self._path.open("rb"))

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_archive"}

    def read(self, record: Record) -> bytes:
        return self._archive.read(record.name)


class Folder(_ClassFolders):
    """A folder with train/, val/ and test/ of class folders, or of class folders alone."""

    def __init__(self, path: epath.Path):
        self._path = path
        files = {str(file.relative_to(path)): file.stat() for file in _files_under(path)}
        fingerprint = _digest(f"{name} {stat.length} {stat.mtime}" for name, stat in files.items())
        super().__init__(str(path), files, fingerprint)

    def read(self, record: Record) -> bytes:
        return (self._path / record.name).read_bytes()


class Phantoms(_ClassFolders):
    """Synthetic radiographs under the layout and the naming of the public archive."""

    synthetic = True

    def __init__(self, name: str, images: int, seed: int):
        self._files = dict(phantom.archive(images, seed))
        super().__init__(name, self._files, _digest([f"{images} {seed}"]))

    def read(self, record: Record) -> bytes:
        return self._files[record.name]


def patient_of(name: str) -> str:
    """Returns the patient that an image belongs to, by the naming of the public sets.

    "train/PNEUMONIA/person3_virus_15.jpeg" -> "person_virus-3"; "" for a name that tells none.
    """
    match = PATIENT_NAMES.match(PurePosixPath(name).name)
    if not match:
        return ""
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


def _files_under(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields every file below `folder` in order (epath has no rglob)."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files_under(path)
        else:
            yield path


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
