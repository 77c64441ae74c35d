"""The patient of a radiograph, by the names of the public sets or by a user's pattern."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trainer.data.sources import name_pattern
from trainer.data.sources.image_record import ImageRecord

# Kermany. Each series counts its patients by itself, so that person3_bacteria and person3_virus
# are two patients.
KERMANY = re.compile(
    r"(?P<series>person|(?:NORMAL\d*-)?IM-)(?P<number>\d+)(?P<kind>_bacteria|_virus)?[-_]"
)
NIH = re.compile(r"(?P<number>\d{8})_\d{3}\.png")
# Its other version, whose number is the patient's in all classes: BACTERIA-7422-0001.jpeg.
KERMANY_ZHANG = re.compile(r"(?:BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+\.")
# Shenzhen and Montgomery, with an image a patient: CHNCXR_0001_0.png, MCUCXR_0001_0.png.
TUBERCULOSIS = re.compile(r"(?P<series>CHNCXR|MCUCXR)_(?P<number>\d+)_[01]\.")
BIDS = re.compile(r"(?P<patient>sub-[A-Za-z0-9]+)_")  # BIMCV
CHEXPERT = re.compile(r"(?:^|/)(?P<patient>patient\d+)/study\d+/")


# What stands for nobody where a patient belongs, without spaces, in lower case.
NOBODY = (
    *("", "nan", "na", "n/a", "<na>", "none", "null", "unknown", "unk", "missing", "-", "?"),
    *("anonymous", "anonym", "anonymized", "anonymised", "anon", "deidentified", "notavailable"),
    *("notapplicable", "removed", "hidden", "xxx", "no_id", "noid"),
)
LEAST_ROWS = 20  # from which on a column that differs in each is worth a word
ZERO = re.compile(r"0+(\.0*)?")
WHOLE_NUMBER = re.compile(r"0*(\d+)(?:\.0*)?")
SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+")  # by a spreadsheet


class Known:
    """The patients that the cells of a column name.

    A zero stands for nobody where no patient is as frequent; so do words such as "nan". Patients
    whose names differ in case, in spaces, or as 12, 012 and 12.0 do, are one.

    Attributes:
      nobody: the cells that stand for nobody.
      rows_of_nobody: how many rows have such a cell.
      different: how many patients there are.
    """

    def __init__(self, cells: Iterable[str]):
        count = Counter(cells)
        most = max((n for cell, n in count.items() if not stands_for_nobody(cell)), default=0)
        self.nobody = {
            cell
            for cell, n in count.items()
            if stands_for_nobody(cell) and (n > most or not ZERO.fullmatch(cell))
        }
        self._one: dict[str, str] = {}  # the most frequent way to write each patient
        for cell, _ in count.most_common():
            if cell not in self.nobody:
                self._one.setdefault(_spelling(cell), cell)
        self._written = len(count) - len(self.nobody)  # ways to write them
        self._shortened = sum(n for cell, n in count.items() if SHORTENED.fullmatch(cell))
        self._rows = count.total()
        self.rows_of_nobody = sum(count[cell] for cell in self.nobody)
        self.different = len(self._one)

    def patient(self, cell: str) -> str:
        """Returns the patient, "" for nobody."""
        return "" if cell in self.nobody else self._one[_spelling(cell)]

    def notes(self, column: str) -> list[str]:
        """Returns what the user should know of the column, a line each."""
        rows, notes = self._rows, []
        if self.nobody:
            words = ", ".join(repr(word) for word in sorted(self.nobody) if word) or "blank"
            notes.append(
                f"warning: column {column!r} names no patient in {self.rows_of_nobody:,} of "
                f"{rows:,} rows ({words}): each of them counts as a patient of its own"
            )
        if several := self._written - self.different:
            notes.append(
                f"column {column!r} writes patients in {several:,} more ways than there are "
                "patients (12, 012 and 12.0, or p1 and P1): each is one patient"
            )
        if self._shortened:
            notes.append(
                f"warning: column {column!r} has numbers that a spreadsheet shortened, as 1.2E+11, "
                f"in {self._shortened:,} of {rows:,} rows: different patients became one, so "
                "export it as text"
            )
        if rows >= LEAST_ROWS and self.different == rows:
            notes.append(
                f"warning: column {column!r} differs in every row, so that each image is a patient "
                "of its own: where one has several images, name the column that tells it, or give "
                "--patient_regex"
            )
        return notes


def stands_for_nobody(text: str) -> bool:
    """Returns whether a text that should name a patient is a word or a zero for nobody."""
    return "".join(text.lower().split()) in NOBODY or bool(ZERO.fullmatch(text))


def _spelling(cell: str) -> str:
    """Returns what the ways to write a patient have in common."""
    text = "".join(cell.split()).casefold()
    number = WHOLE_NUMBER.fullmatch(text)
    return number[1] if number else text


def patient_from_name(name: str) -> str:
    """Returns the patient that an image belongs to, by the naming of the public sets.

    "train/PNEUMONIA/person3_virus_15.jpeg" -> "person_virus-3" and "BACTERIA-7422-0001.jpeg" ->
    "patient-7422" (Kermany); "00000013_005.png" -> "13", as in NIH's table;
    "train/patient00001/study1/view1_frontal.jpg" -> "patient00001" (CheXpert); "" for any other
    name. Folders may be separated as on Windows.
    """
    name = name.replace("\\", "/")
    file = name.rpartition("/")[2]
    if match := KERMANY.match(file):
        series = match["series"].rstrip("-") + (match["kind"] or "")
        return f"{series}-{int(match['number'])}"
    if match := NIH.fullmatch(file):
        return str(int(match["number"]))
    if match := KERMANY_ZHANG.match(file):
        return f"patient-{int(match['number'])}"
    if match := TUBERCULOSIS.match(file):
        return f"{match['series']}-{int(match['number'])}"
    if match := CHEXPERT.search(name) or BIDS.match(file):
        return match["patient"]
    return ""


def by_pattern(records: Sequence[ImageRecord], pattern: str) -> list[ImageRecord]:
    """Returns the records with the patient that `name_pattern` finds in their names, or "".

    Raises:
      UsageError: if the pattern is invalid, or matches no name.
    """
    names = [record.name for record in records]
    patient = name_pattern.finder(names, pattern, flag="patient_regex", group="patient")
    return [replace(record, patient=patient(record.name)) for record in records]
