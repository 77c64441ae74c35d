"""The patient of a radiograph, by the names of the public sets or by a user's pattern."""

import re
from collections.abc import Sequence
from dataclasses import replace

from trainer.data.sources import name_pattern
from trainer.data.sources.image_record import ImageRecord

# Kermany. Each series counts its patients by itself, so that person3_bacteria and person3_virus
# are two patients.
KERMANY = re.compile(
    r"(?P<series>person|(?:NORMAL\d*-)?IM-)(?P<number>\d+)(?P<kind>_bacteria|_virus)?[-_]"
)
NIH = re.compile(r"(?P<number>\d{8})_\d{3}\.png")
CHEXPERT = re.compile(r"(?:^|/)(?P<patient>patient\d{5,})/study\d+/")


def patient_from_name(name: str) -> str:
    """Returns the patient that an image belongs to, by the naming of the public sets.

    "train/PNEUMONIA/person3_virus_15.jpeg" -> "person_virus-3" (Kermany); "00000013_005.png" ->
    "13", as in NIH's table; "train/patient00001/study1/view1_frontal.jpg" -> "patient00001"
    (CheXpert); "" for any other name.
    """
    file = name.rpartition("/")[2]
    if match := KERMANY.match(file):
        series = match["series"].rstrip("-") + (match["kind"] or "")
        return f"{series}-{int(match['number'])}"
    if match := NIH.fullmatch(file):
        return str(int(match["number"]))
    if match := CHEXPERT.search(name):
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
