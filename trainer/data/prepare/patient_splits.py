"""The splits of the examined images, with a warning where it is not sure who the patients are."""

import sys
from collections import Counter
from collections.abc import Sequence

from trainer.data import duplicates
from trainer.data.prepare import large_groups, splits
from trainer.data.prepare.examination import Examination
from trainer.data.sources.image_record import ImageRecord

MOST_OF_ONE = 0.5  # share of the images that a patient may have without a word
FEW_IMAGES = 20  # of which one patient may have most


def assign(
    found: Examination,
    keep_validation: bool | None,
    *,
    max_alike: float,
    fold: tuple[int, int] | None = None,
) -> splits.SplitAssignment:
    """Divides the images into train, validation and test by patient; see `splits.assign`.

    Near-duplicates whose patients are not known count as one patient.

    Args:
      found: the images.
      keep_validation: see `splits.assign`.
      max_alike: share of the images that may be one group of near-duplicates.
      fold: see `splits.assign`.
    """
    records, unknown = found.records, _of_unknown(found.records)
    guessed: set[str] = set()
    if unknown:
        known = {record.patient for record in records}
        groups = _near_groups(found)
        large_groups.check(records, groups, max_alike)
        records = splits.by_near_duplicates(records, groups)
        guessed = {record.patient for record in records} - known
        warn(
            f"the patient of {len(unknown):,} images is not known, such as that of {unknown[0]}: "
            "near-duplicates are kept together, but other images of one patient may be in two "
            "splits. Give --patient_regex or --patient_column to prevent that."
        )
    [(patient, most)] = Counter(record.patient for record in records).most_common(1)
    if patient not in guessed and most / len(records) > MOST_OF_ONE and len(records) > FEW_IMAGES:
        warn(
            f"one patient, {patient}, has {most:,} of {len(records):,} images: if that stands for "
            "nobody, give --patient_column=none or --patient_regex."
        )
    assignment = splits.assign(
        records, _digests(found), keep_validation=keep_validation, guessed=guessed, fold=fold
    )
    return _without_conflicts(assignment)


def all_in_test(found: Examination) -> splits.SplitAssignment:
    """Puts all images into test, near-duplicates of unknown patients under one patient."""
    records, unknown = found.records, _of_unknown(found.records)
    if unknown:
        records = splits.by_near_duplicates(records, _near_groups(found))
        warn(
            f"the patient of {len(unknown):,} images is not known, such as that of {unknown[0]}: "
            "each counts as a patient of its own, with its near-duplicates. Give --patient_regex "
            "or --patient_column for intervals that are right."
        )
    return _without_conflicts(splits.all_in_test(records, _digests(found)))


def warn(sentence: str) -> None:
    """Prints a warning in the terminal."""
    print(f"warning: {sentence}", file=sys.stderr)


def _of_unknown(records: Sequence[ImageRecord]) -> list[str]:
    """Returns the places of the records whose patients are not known."""
    return [record.place or record.name for record in records if not record.patient]


def _near_groups(found: Examination) -> list[int]:
    pairs = zip(found.records, found.results, strict=True)
    return duplicates.near_groups(
        [file.fingerprint for record, file in pairs if not record.patient]
    )


def _digests(found: Examination) -> list[bytes]:
    return [file.digest for file in found.results]


def _without_conflicts(assignment: splits.SplitAssignment) -> splits.SplitAssignment:
    """Returns the assignment, and warns of identical files with different labels."""
    if assignment.conflicts:
        first = assignment.conflicts[0]["names"]
        warn(
            f"{len(assignment.conflicts):,} sets of identical files have different labels, such as "
            f"{first[0]} and {first[1]}: data_summary.json lists them."
        )
    return assignment
