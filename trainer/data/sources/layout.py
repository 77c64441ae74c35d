"""Images in class folders, in train, val and test or not, as the public archives have them."""

from dataclasses import replace

from trainer.data.sources import dicom_folder, files, patients
from trainer.data.sources.files import Files
from trainer.data.sources.folder_listing import Listing, Place
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN, ImageRecord
from trainer.data.sources.kept_columns import KeptColumns
from trainer.data.sources.options import Options


class ClassFolders:
    """A source whose classes are the names of folders, or parts of the names of files.

    Attributes:
      reading: what was read as what; see `Reading`.
    """

    def __init__(self, name: str, content: Files, options: Options, *, synthetic: bool = False):
        self.name, self.synthetic = name, synthetic
        self._files, self._options = content, options
        listed = Listing(name, content, options)
        self._places = listed.places
        self.reading = listed.reading()
        names = list(self.reading.classes)
        self.classes = tuple(names) if len(names) == 2 else ()
        self.labels = tuple(names[1:]) if len(names) == 2 else tuple(names)
        self.exclusive = len(names) > 2
        used = [file for file, _ in self._places]
        self.identifying = dicom_folder.has_dicom(content, used)
        self._kept = KeptColumns(options.keep_columns, (), name)
        self._kept.check(has_dicom=self.identifying)
        self.columns = self._kept.names
        settings = [
            options.patient_regex or options.patient_column,
            str(options.any_view and self.identifying),
        ]
        chosen = options.of_classes()
        self.fingerprint = files.digest([files.fingerprint(content, used), *settings, *chosen])
        self._names = frozenset(names)

    def records(self) -> list[ImageRecord]:
        """Returns every record, in a fixed order; see `Source`."""
        records = [self._record(file, place) for file, place in self._places]
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
        if self._options.no_patients():
            records = [replace(record, patient="") for record in records]
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
