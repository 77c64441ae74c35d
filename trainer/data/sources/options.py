"""Options for reading a source."""

from collections.abc import Collection
from dataclasses import dataclass, field

NO_PATIENTS = "none"


@dataclass(frozen=True)
class Options:
    """How to read a source; every field has a default that suits the public sets.

    Attributes:
      image_root: folder or archive with a table's images; "" is the table's own folder.
      encoding: of a table's text; "" is UTF-8.
      join: tables whose columns are added by the columns that they share with the first.
      path_column: a table's column of image paths.
      label_columns: its columns of labels, or the one of names separated by "|".
      separator: what separates the names in a cell of that one; "" finds it, "none" means none.
      patient_column: its column of patients; "none" where no column, name or header tells them.
      split_column: its column of splits: train, val or test.
      view_column, modality_column, reader_column: its columns of views, modalities and readers.
      readers: which labels hold where an image has several rows: "" only those that agree, "any"
        of them, or those of a "majority" of its readers.
      uncertain: what a label of -1 becomes: "ignore" (unknown), "positive" or "negative".
      patient_regex: finds the patient in a record's name: its group "patient", or its first
        group, or the whole match.
      any_view: takes lateral radiographs too.
      class_level: which folder of a path is the class, from 1 at the top or from -1 at the file; 0
        finds it.
      class_from: finds the class in a file's name, as patient_regex does the patient.
      exclude: patterns of names of files or folders, or of paths, that are left out.
      unlabelled: takes no labels from the names of folders or files: for prediction alone.
      positive: of two classes, the finding; "" where their names tell.
      map_labels: new names of labels; see `label_map.read_map`.
      keep_columns: columns of a table or DICOM tags that are kept of each image; see
        `kept_columns.KeptColumns`. They change no image, and so no fingerprint.
    """

    image_root: str = ""
    encoding: str = ""
    join: tuple[str, ...] = ()
    separator: str = ""
    view_column: str = ""
    modality_column: str = ""
    reader_column: str = ""
    readers: str = ""
    path_column: str = ""
    label_columns: tuple[str, ...] = ()
    patient_column: str = ""
    split_column: str = ""
    uncertain: str = "ignore"
    patient_regex: str = ""
    any_view: bool = False
    class_level: int = 0
    class_from: str = ""
    exclude: tuple[str, ...] = ()
    unlabelled: bool = field(default=False, repr=False)
    positive: str = ""
    map_labels: str = ""
    keep_columns: tuple[str, ...] = field(default=(), repr=False)

    def of_classes(self) -> list[str]:
        """Returns the options that say what the classes are, but for those not given."""
        names = ("class_level", "class_from", "exclude", "positive", "map_labels")
        return [f"{name}={getattr(self, name)}" for name in names if getattr(self, name)]

    def no_patients(self, columns: Collection[str] = ()) -> bool:
        """Returns whether nothing tells patients, unless a column has that very name."""
        return self.patient_column == NO_PATIENTS and NO_PATIENTS not in columns
