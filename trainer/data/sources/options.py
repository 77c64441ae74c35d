"""Options for reading a source."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How to read a source; every field has a default that suits the public sets.

    Attributes:
      image_root: folder or archive with a table's images; "" is the table's own folder.
      encoding: of a table's text; "" is UTF-8.
      path_column: a table's column of image paths.
      label_columns: its columns of labels, or the one of names separated by "|".
      patient_column: its column of patients.
      split_column: its column of splits: train, val or test.
      uncertain: what a label of -1 becomes: "ignore" (unknown), "positive" or "negative".
      patient_regex: finds the patient in a record's name: its group "patient", or its first
        group, or the whole match.
      any_view: takes lateral radiographs too.
    """

    image_root: str = ""
    encoding: str = ""
    path_column: str = ""
    label_columns: tuple[str, ...] = ()
    patient_column: str = ""
    split_column: str = ""
    uncertain: str = "ignore"
    patient_regex: str = ""
    any_view: bool = False
