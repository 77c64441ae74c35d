"""The patient of a radiograph, by the names of the public sets or by a user's pattern."""

import re
from collections.abc import Sequence
from dataclasses import replace

from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

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
    """Returns the records with the patient that a pattern finds in the names of their files.

    That is its group "patient", or its first group, or the whole match; "" where it does not match.
    A pattern that matches no file's name, as one with folders in it, is looked for in their paths.

    Raises:
      UsageError: if the pattern is invalid, or matches no name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as mistake:
        raise UsageError(
            f"--patient_regex={pattern} is not a regular expression: {mistake}."
        ) from None
    patients = [_match(compiled, record.name.rpartition("/")[2]) for record in records]
    if not any(patients):
        patients = [_match(compiled, record.name) for record in records]
    found = [replace(r, patient=patient) for r, patient in zip(records, patients, strict=True)]
    if not any(patients):
        raise UsageError(
            f"--patient_regex={pattern} finds no patient in any name, such as "
            f"{records[0].name!r}: it must match a part of it."
        )
    return found


def _match(pattern: re.Pattern, name: str) -> str:
    match = pattern.search(name)
    if not match:
        return ""
    if "patient" in pattern.groupindex:
        return match["patient"] or ""
    return match[1 if pattern.groups else 0] or ""
