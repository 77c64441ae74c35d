"""A table that names images and their labels: a user's own, or one of the public sets'."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from etils import epath

from trainer.data.sources import dicom_folder, files, image_index, open_files, patients
from trainer.data.sources.csv_table import CsvTable
from trainer.data.sources.folder_names import left_out, split_of
from trainer.data.sources.image_record import UNKNOWN, ImageRecord
from trainer.data.sources.labels import read_labels
from trainer.data.sources.options import Options
from trainer.data.sources.table_schema import Schema, find_schema
from trainer.system.errors import UsageError

NIH_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
MISSING = "the image does not exist"
AMBIGUOUS = "more than one file under --image_root has this name"


@dataclass(frozen=True)
class _Row:
    path: str
    labels: tuple[int, ...]
    patient: str
    split: str
    refused: str
    left_out: bool


class Table:
    """A source whose images and labels are the rows of a table.

    Rows of one image that agree, as RSNA's table has one a box, are one record; where they do
    not, the record is refused.
    """

    synthetic = False
    reading = None
    exclusive = False  # its rows may have several labels

    def __init__(self, path: epath.Path, options: Options):
        self.name = str(path)
        self._options = options
        table = CsvTable(path, options.encoding)
        schema = find_schema(table.columns, options, self.name)
        root = _image_root(path, options)
        self._files = open_files.open_files(root)
        rows = self._rows(table, schema, _split_lists((path.parent, root), schema))
        self._found, ambiguous = self._find([row.path for row in rows])
        used = sorted(set(self._found.values()))
        self.identifying = dicom_folder.has_dicom(self._files, used)
        self._records = self._merged(rows, ambiguous)
        settings = repr(replace(options, image_root=""))
        splits = [f"{record.name} {record.split}" for record in self._records]
        content = files.fingerprint(self._files, used)
        self.fingerprint = files.digest([table.digest, settings, content, *splits])

    def records(self) -> list[ImageRecord]:
        """Returns every record, in a fixed order; see `Source`."""
        records = self._records
        if self._options.patient_regex:
            records = patients.by_pattern(records, self._options.patient_regex)
        if self.identifying:
            records = dicom_folder.with_headers(records, self._files, self._options.any_view)
        return list(records)

    def read(self, record: ImageRecord) -> bytes:
        """Returns the bytes of the record's file; see `Source`."""
        return self._files.read(record.place or record.name)

    def _rows(self, table: CsvTable, schema: Schema, lists: dict[str, str]) -> list[_Row]:
        single = [name for name in (schema.patient, schema.split, schema.view) if name]
        lines, paths, others, cells = [], [], [], []
        for line, (path, *row) in table.rows([schema.path, *single, *schema.labels]):
            if not path:
                raise UsageError(f"{self.name} line {line}, column {schema.path!r} names no image.")
            lines.append(line)
            paths.append(path)
            others.append(dict(zip(single, row, strict=False)))
            cells.append(tuple(row[len(single) :]))
        if not paths:
            raise UsageError(f"{self.name} has a header and no rows.")
        labels = read_labels(
            self.name, lines, cells, schema=schema, uncertain=self._options.uncertain
        )
        self.labels, self.classes = labels.names, labels.classes
        rows = []
        for number, (path, other) in enumerate(zip(paths, others, strict=True)):
            reason = labels.refused.get(number, "")
            lateral = other.get(schema.view, "").lower() == "lateral"
            left_out = lateral and not self._options.any_view
            if left_out:
                reason = "a lateral view (--any_view takes them)"
            split = _split(
                path,
                other.get(schema.split, ""),
                schema,
                lists=lists,
                where=f"{self.name} line {lines[number]}",
            )
            patient = other.get(schema.patient, "")
            rows.append(_Row(path, labels.values[number], patient, split, reason, left_out))
        return rows

    def _find(self, paths: Sequence[str]) -> tuple[dict[str, str], set[str]]:
        """Returns the file of each path: by its name, or by the UID in a DICOM header."""
        names = list(self._files.stamps)
        found, ambiguous = image_index.find(dict.fromkeys(paths), names)
        if ambiguous:  # perhaps an image and its mask
            images = [name for name in names if not _beside_images(name, self._options.any_view)]
            found |= image_index.find(ambiguous, images)[0]
            ambiguous -= found.keys()
        if not found and not ambiguous and dicom_folder.has_dicom(self._files, names):
            uids = dicom_folder.by_sop_uid(self._files, names)
            found = {path: uids[path] for path in paths if path in uids}
        if not found and ambiguous:
            raise UsageError(
                f"each of the images that {self.name} names, such as {min(ambiguous)!r}, is the "
                f"name of several files under {self._files.name}: give the folder of the images "
                "alone with --image_root."
            )
        if not found:
            raise UsageError(
                f"none of the images that {self.name} names, such as {paths[0]!r}, is under "
                f"{self._files.name}: give their folder with --image_root."
            )
        return found, ambiguous

    def _merged(self, rows: Sequence[_Row], ambiguous: set[str]) -> list[ImageRecord]:
        records: dict[str, ImageRecord] = {}
        for row in rows:
            record = self._record(row, AMBIGUOUS if row.path in ambiguous else MISSING)
            key = record.place or record.name
            first = records.setdefault(key, record)
            if first is not record and not first.refused:
                records[key] = _merge(first, record)
        return list(records.values())

    def _record(self, row: _Row, missing_reason: str) -> ImageRecord:
        place = self._found.get(row.path, "")
        reason = self._files.refused.get(place, "") if place else missing_reason
        patient = row.patient or ("" if self.identifying else patients.patient_from_name(row.path))
        return ImageRecord(
            name=row.path,
            labels=row.labels,
            patient=patient,
            split=row.split,
            place=place or row.path,
            refused=row.refused or reason,
            left_out=row.left_out,
        )


def _merge(first: ImageRecord, second: ImageRecord) -> ImageRecord:
    """Returns the first of two records of one image, refused if the second contradicts it."""
    for name in ("labels", "patient", "split"):
        if getattr(first, name) != getattr(second, name):
            unknown = (UNKNOWN,) * len(first.labels)
            return replace(first, labels=unknown, refused=f"its rows differ in {name}")
    return first


def _beside_images(name: str, any_view: bool) -> bool:
    """Returns whether a file lies in a folder of masks or the like."""
    return any(left_out(folder, any_view) for folder in name.split("/")[:-1])


def _image_root(path: epath.Path, options: Options) -> epath.Path:
    root = epath.Path(options.image_root) if options.image_root else path.parent
    if not root.exists():
        raise UsageError(f"--image_root={root} does not exist: give the folder with the images.")
    return root


def _split_lists(folders: Sequence[epath.Path], schema: Schema) -> dict[str, str]:
    """Returns the split of each file that NIH's lists name, where both lists are there."""
    if not schema.split_lists:
        return {}
    for folder in folders:
        lists = {folder / name: split for name, split in NIH_LISTS.items()}
        if all(file.exists() for file in lists):
            return {n: split for file, split in lists.items() for n in _names_in(file)}
    return {}


def _names_in(file: epath.Path) -> Iterator[str]:
    return (line.strip() for line in file.read_text().splitlines() if line.strip())


def _split(path: str, cell: str, schema: Schema, *, lists: dict[str, str], where: str) -> str:
    """Returns the split of a row: by its column, by NIH's lists, or by CheXpert's folders."""
    if schema.split and cell:
        if not split_of(cell):
            raise UsageError(
                f"{where}, column {schema.split!r} holds {cell[:40]!r}: a split is train, val or "
                "test, or a usual word for one of them, or blank."
            )
        return split_of(cell)
    if schema.split:
        return ""
    if schema.split_in_path:
        folders = path.replace("\\", "/").split("/")[:-1]
        return next(filter(None, map(split_of, folders)), "")
    return lists.get(path, "")
