"""Images in class folders, perhaps in train, val and test: the layout of the public archives."""

from collections.abc import Iterable
from dataclasses import dataclass

from trainer.data.sources import dicom_folder, files, patients
from trainer.data.sources.files import Files
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN, ImageRecord
from trainer.data.sources.options import Options
from trainer.system.errors import UsageError

SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_finding", "control")
IMAGE_SUFFIXES = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
    *(".jp2", ".j2k", ".pgm", ".pnm"),
    *dicom_folder.SUFFIXES,
)
NO_IMAGES = ("thumbs.db", "desktop.ini")  # Windows puts them into folders of images


@dataclass(frozen=True)
class Place:
    """Where a file lies: train/NORMAL/a.png, or NORMAL/a.png with a split of ""."""

    split: str
    class_name: str
    file: str


class ClassFolders:
    """A source whose classes are the names of folders."""

    def __init__(self, name: str, content: Files, options: Options, *, synthetic: bool = False):
        self.name, self.synthetic = name, synthetic
        self._files, self._options = content, options
        self._places = _places(content, name)
        names = order_classes({p.class_name for f, p in self._places if f not in content.refused})
        if len(names) < 2:
            raise UsageError(f"--source={name} has the one class {names[0]}: two are needed.")
        self.classes = tuple(names) if len(names) == 2 else ()
        self.labels = tuple(names[1:]) if len(names) == 2 else tuple(names)
        self.exclusive = len(names) > 2
        used = [file for file, _ in self._places]
        self.identifying = dicom_folder.has_dicom(content, used)
        settings = [options.patient_regex, str(options.any_view and self.identifying)]
        self.fingerprint = files.digest([files.fingerprint(content, used), *settings])
        self._names = frozenset(names)

    def records(self) -> list[ImageRecord]:
        """Returns every record, in a fixed order; see `Source`."""
        records = [self._record(file, place) for file, place in self._places]
        if self._options.patient_regex:
            records = patients.by_pattern(records, self._options.patient_regex)
        if self.identifying:
            records = dicom_folder.with_headers(records, self._files, self._options.any_view)
        return records

    def read(self, record: ImageRecord) -> bytes:
        """Returns the bytes of the record's file; see `Source`."""
        return self._files.read(record.place or record.name)

    def _record(self, file: str, place: Place) -> ImageRecord:
        return ImageRecord(
            name=file,
            labels=self._labels(place.class_name),
            # Exported DICOM files may be numbered like Kermany's: only the header counts.
            patient="" if self.identifying else patients.patient_from_name(file),
            split=place.split,
            place=file if self.identifying else "",
            refused=self._files.refused.get(file, ""),
        )

    def _labels(self, class_name: str) -> tuple[int, ...]:
        if class_name not in self._names:
            return (UNKNOWN,) * len(self.labels)
        return tuple(POSITIVE if label == class_name else NEGATIVE for label in self.labels)


def order_classes(names: Iterable[str]) -> list[str]:
    """Returns the class names with the healthy one first: its label is 0."""
    return sorted(names, key=lambda n: (n.lower().replace(" ", "_") not in NEGATIVE_NAMES, n))


def _places(content: Files, source: str) -> list[tuple[str, Place]]:
    """Returns (name, place) of the files in class folders, ordered by name.

    Archives made on a Mac hold `__MACOSX` shadows, and the public one holds a second copy of
    itself one folder deeper: of files with the same place the least deep counts.
    """
    found: dict[Place, str] = {}
    harmful: dict[str, Place] = {}
    for name in sorted(content.stamps, key=lambda n: (n.count("/"), n)):
        place = _place(name)
        if place is None:
            continue
        if name in content.refused:
            harmful[name] = place
        else:
            found.setdefault(place, name)
    if not any(name.lower().endswith(IMAGE_SUFFIXES) for name in found.values()) and not (
        dicom_folder.has_dicom(content, list(found.values()))
    ):
        raise UsageError(
            f"--source={source} holds no images in class folders: it should hold "
            "train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE."
        )
    has_splits = any(place.split for place in found)
    classes = {place.class_name for place in found}
    listed = [(name, p) for p, name in found.items() if bool(p.split) == has_splits]
    for name, place in harmful.items():
        if place.class_name in classes or name.lower().endswith(IMAGE_SUFFIXES):
            listed.append((name, place))
    return sorted(listed, key=lambda pair: pair[0])


def _place(name: str) -> Place | None:
    """Reads the last folder that names a split, else the last folder, as the class."""
    parts = [part for part in name.split("/") if part]
    hidden = any(p.startswith("__MACOSX") or (p.startswith(".") and p != "..") for p in parts)
    if hidden or len(parts) < 2 or parts[-1].lower() in NO_IMAGES:
        return None
    for depth in range(len(parts) - 3, -1, -1):
        if split := SPLITS.get(parts[depth].lower()):
            return Place(split, parts[depth + 1], "/".join(parts[depth + 2 :]))
    return Place("", parts[-2], parts[-1])
