"""A table that names images and their labels: a user's own, or one of the public sets'."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from etils import epath

from trainer.data.sources import (
    dicom_folder,
    files,
    found_columns,
    image_index,
    open_files,
    patients,
    readers,
    table_reading,
    views,
)
from trainer.data.sources.csv_table import CsvTable
from trainer.data.sources.folder_names import left_out
from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.joined_table import JoinedTable
from trainer.data.sources.kept_columns import KeptColumns
from trainer.data.sources.labels import read_labels
from trainer.data.sources.options import Options
from trainer.data.sources.table_schema import Schema, find_schema
from trainer.data.sources.table_splits import Splits
from trainer.data.sources.tar_archives import TarArchives
from trainer.system.errors import UsageError

MISSING = "the image does not exist"
AMBIGUOUS = "more than one file under --image_root has this name"
MOST_COLUMNS_SHOWN = 20  # as those of labels


@dataclass(frozen=True)
class _Row:
    path: str
    labels: tuple[int, ...]
    patient: str
    split: str
    reader: str
    refused: str
    left_out: bool
    columns: tuple[str, ...]


class Table:
    """A source whose images and labels are the rows of a table.

    Rows of one image that agree, as RSNA's table has one a box, are one record; where they do
    not, `readers.unite` decides, or the record is refused.

    Attributes:
      notes: how the table was understood, a line each.
    """

    synthetic = False
    exclusive = False  # its rows may have several labels

    def __init__(self, path: epath.Path, options: Options):
        self.name = str(path)
        self._options = options
        others = [_joined(name, options.encoding) for name in options.join]
        table = JoinedTable(CsvTable(path, options.encoding), others)
        self._nobody = options.no_patients(table.columns)
        schema = find_schema(table.columns, options, self.name)
        schema, self.notes = found_columns.find_columns(schema, table, options)
        if options.readers == "majority" and not schema.reader:
            raise UsageError(
                f"--readers=majority needs --reader_column, the column of {self.name} that tells "
                "who read the image: name it, or give --readers=any."
            )
        self._kept = KeptColumns(options.keep_columns, table.columns, self.name)
        self.columns = self._kept.names
        root = _image_root(path, options)
        self._files = open_files.open_files(root)
        rows = self._rows(table, schema, Splits(schema, (path.parent, root)))
        self._found, ambiguous = self._find([row.path for row in rows])
        self._note_spellings()
        used = sorted(set(self._found.values()))
        self.identifying = dicom_folder.has_dicom(self._files, used)
        self._kept.check(
            has_dicom=self.identifying,
            identifying=(schema.patient, schema.path),
            rows=[row.columns for row in rows],
        )
        self._records = self._merged(rows, ambiguous)
        if isinstance(self._files, TarArchives):
            files_in_order = self._files
            self._records.sort(key=lambda r: files_in_order.position(r.place or r.name))
        self.reading = table_reading.of_records(
            self._records, self.labels, self.classes, how=_columns(schema)
        )
        settings = repr(replace(options, image_root="", join=()))
        splits = [f"{record.name} {record.split}" for record in self._records]
        content = files.fingerprint(self._files, used)
        self.fingerprint = files.digest([table.digest, settings, content, *splits])

    def records(self) -> list[ImageRecord]:
        """Returns every record, in a fixed order; see `Source`."""
        records = self._records
        if self._options.patient_regex:
            records = patients.by_pattern(records, self._options.patient_regex)
        if self.identifying:
            records = dicom_folder.with_headers(
                records,
                self._files,
                self._options.any_view,
                kept=self._kept,
                from_names=not self._options.patient_regex,
            )
        if self._nobody:
            records = [replace(record, patient="") for record in records]
        return list(records)

    def read(self, record: ImageRecord) -> bytes:
        """Returns the bytes of the record's file; see `Source`."""
        return self._files.read(record.place or record.name)

    def _rows(self, table: JoinedTable, schema: Schema, splits: Splits) -> list[_Row]:
        roles = (schema.patient, schema.split, schema.view, schema.modality, schema.reader)
        single = list(dict.fromkeys(name for name in (*roles, *self._kept.of_table) if name))
        lines, paths, others, cells = [], [], [], []
        without = 0
        images = image_index.by_folder(self._files.stamps) if schema.folder else {}
        for line, (path, *row) in table.rows([schema.path, *single, *schema.labels]):
            if not path:
                raise UsageError(f"{self.name} line {line}, column {schema.path!r} names no image.")
            found = images.get(schema.folder + path, [path])
            without += not found
            lines += [line] * len(found)
            paths += found
            others += [dict(zip(single, row, strict=False))] * len(found)
            cells += [tuple(row[len(single) :])] * len(found)
        if without:
            self.notes.append(f"{without:,} rows are of folders without a radiograph: left out")
        if not paths:
            raise UsageError(f"{self.name} has a header and no rows.")
        labels = read_labels(
            self.name,
            lines,
            cells,
            schema=schema,
            uncertain=self._options.uncertain,
            separator=self._options.separator,
            positive=self._options.positive,
            map_labels=self._options.map_labels,
        )
        self.labels, self.classes = labels.names, labels.classes
        self.notes += labels.notes
        known = patients.Known(other.get(schema.patient, "") for other in others)
        if schema.patient:
            self.notes += known.notes(schema.patient)
        rows = []
        for number, (path, other) in enumerate(zip(paths, others, strict=True)):
            reason = views.refusal(
                other.get(schema.view, "") or views.in_name(path),
                other.get(schema.modality, ""),
                any_view=self._options.any_view,
            )
            if missing := table.unmatched.get(lines[number]):
                reason = f"{missing.rpartition('/')[2]} has no row for it"
            reason = reason or labels.left_out.get(number, "")
            where = f"{self.name} line {lines[number]}"
            split = splits.split(path, other.get(schema.split, ""), where)
            rows.append(
                _Row(
                    path,
                    labels.values[number],
                    patient=known.patient(other.get(schema.patient, "")),
                    split=split,
                    reader=other.get(schema.reader, ""),
                    refused=reason or labels.refused.get(number, ""),
                    left_out=bool(reason),
                    columns=self._kept.of_row(other),
                )
            )
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
                f"{self._files.name}: give the folder that they start from with --image_root."
            )
        return found, ambiguous

    def _note_spellings(self) -> None:
        pairs = self._found.items()
        other = [pair for pair in pairs if image_index.is_written_otherwise(*pair)]
        if other:
            path, file = other[0]
            self.notes.append(
                f"{len(other):,} images are found under another suffix or in other letters, such "
                f"as {path} as {file}"
            )

    def _merged(self, rows: Sequence[_Row], ambiguous: set[str]) -> list[ImageRecord]:
        of_image: dict[str, list[tuple[ImageRecord, str]]] = defaultdict(list)
        for row in rows:
            record = self._record(row, AMBIGUOUS if row.path in ambiguous else MISSING)
            of_image[record.place or record.name].append((record, row.reader))
        return [readers.unite(found, self._options.readers) for found in of_image.values()]

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
            columns=row.columns,
        )


def _columns(schema: Schema) -> str:
    """Returns what is read from which columns."""
    labels = ", ".join(schema.labels[:MOST_COLUMNS_SHOWN])
    more = len(schema.labels) - MOST_COLUMNS_SHOWN
    columns = {
        "image": schema.path,
        "labels": f"{labels} and {more} more" if more > 0 else labels,
        "patient": schema.patient,
        "split": schema.split,
        "view": schema.view,
        "modality": schema.modality,
        "reader": schema.reader,
    }
    return "; ".join(f"{role} by {name}" for role, name in columns.items() if name)


def _joined(name: str, encoding: str) -> CsvTable:
    path = epath.Path(name)
    if not path.exists():
        raise UsageError(f"--join={name} does not exist: give a table with a header line.")
    return CsvTable(path, encoding)


def _beside_images(name: str, any_view: bool) -> bool:
    """Returns whether a file lies in a folder of masks or the like."""
    return any(left_out(folder, any_view) for folder in name.split("/")[:-1])


def _image_root(path: epath.Path, options: Options) -> epath.Path:
    root = epath.Path(options.image_root) if options.image_root else path.parent
    if not root.exists():
        raise UsageError(f"--image_root={root} does not exist: give the folder with the images.")
    return root
