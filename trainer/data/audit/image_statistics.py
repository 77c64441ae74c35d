"""Statistics of a source: counts, sizes, damage, copies, patients, and contradictory labels."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.data import duplicates
from trainer.data.audit import turned_copies
from trainer.data.audit.inspection import InspectedFile
from trainer.data.sources.image_record import KNOWN, NEGATIVE, POSITIVE, ImageRecord

SPLITS = ("train", "val", "test", "")
ALL = "all"  # the name of the one split of a source without splits
MOST_LISTED = 200
SPREAD = ("least", "median", "most")
# "person_virus-3" -> person and 3: what is left where somebody reads the number alone.
SERIES = re.compile(r"([A-Za-z]+)\S*?-(\d+)$")


def split_name(record: ImageRecord) -> str:
    """Returns the record's split, or `ALL` where the source has none."""
    return record.split or ALL


def counts(files: Sequence[InspectedFile], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns {split: {images, patients, refused, per_label: {label: {positive, ...}}}}.

    `images` can be used; `refused` cannot. `patients` leaves out images without a known patient.
    """
    result = {}
    for split in SPLITS:
        in_split = [file for file in files if file.record.split == split]
        records = [file.record for file in in_split if not file.reason]
        if not in_split:
            continue
        values = [Counter(r.labels[number] for r in records) for number in range(len(labels))]
        result[split or ALL] = {
            "images": len(records),
            "patients": len({r.patient for r in records if r.patient}),
            "refused": len(in_split) - len(records),
            "per_label": {
                label: {name: count[value] for name, value in KNOWN.items()}
                for label, count in zip(labels, values, strict=True)
            },
        }
    return result


def damage(files: Sequence[InspectedFile], *, left_out: bool = False) -> dict[str, Any]:
    """Returns {count, reasons: {reason: files}, files: [{name, split, reason}]}, cut at 200.

    Args:
      files: all.
      left_out: counts the sound files that are left out, not the damaged ones.
    """
    damaged = [file for file in files if file.reason and file.left_out == left_out]
    reasons = Counter(file.reason for file in damaged)
    return {
        "count": len(damaged),
        "reasons": dict(reasons.most_common(MOST_LISTED)),
        "files": [
            {
                "name": file.record.name,
                "split": split_name(file.record),
                "reason": file.reason,
            }
            for file in damaged[:MOST_LISTED]
        ],
    }


def sizes(files: Sequence[InspectedFile]) -> dict[str, Any]:
    """Returns {width, height: {least, median, most}, different: number of sizes}, in pixels.

    Args:
      files: at least one, all usable.
    """
    features = [file.features for file in files if file.features]
    sides = np.array([(f.width, f.height) for f in features])
    spread = {
        name: dict(zip(SPREAD, np.quantile(lengths, [0, 0.5, 1]).tolist(), strict=True))
        for name, lengths in zip(("width", "height"), sides.T, strict=True)
    }
    return spread | {"different": len(np.unique(sides, axis=0))}


def copies(files: Sequence[InspectedFile], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the copies: `exact` (the same pixels), `near` (but for the encoding), and `turned`.

    Each is {groups, images, within: {split: groups}, across, one_patient, conflicts, members}:
      groups, images: how many groups, and how many images in them
      within, across: groups in one split, and in more than one
      one_patient: groups of one known patient
      conflicts: groups in which a label is positive for one image and negative for another
      members: [[{name, split, patient, positive: [label]}]] of at most 200 groups, those across
        splits first, then those whose labels disagree
    A near group holds at least two different pictures, and one of turned or mirrored copies at
    least two that are not near as they are.

    Args:
      files: all usable.
      labels: the names of the K labels.
    """
    exact = duplicates.exact_groups([file.digest for file in files])
    prints = [file.fingerprint for file in files]
    near = duplicates.near_groups(prints)
    turned = turned_copies.groups(near, prints, [file.turned for file in files])
    return {
        "exact": _describe_groups(files, duplicates.members(exact), labels),
        "near": _describe_groups(files, _of_different(near, exact), labels),
        "turned": _describe_groups(files, _of_different(turned, near), labels),
    }


def _of_different(groups: Sequence[int], finer: Sequence[int]) -> list[list[int]]:
    """Returns the images of each group that joins several of the finer groups."""
    return [
        group for group in duplicates.members(groups) if len({finer[image] for image in group}) > 1
    ]


def _describe_groups(
    files: Sequence[InspectedFile], groups: list[list[int]], labels: Sequence[str]
) -> dict[str, Any]:
    records = [[files[image].record for image in group] for group in groups]
    splits = [{split_name(r) for r in group} for group in records]
    across = [len(names) > 1 for names in splits]
    conflicts = [labels_disagree(group) for group in records]
    order = sorted(range(len(groups)), key=lambda i: (not across[i], not conflicts[i]))
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "within": dict(Counter(next(iter(names)) for names in splits if len(names) == 1)),
        "across": sum(across),
        "one_patient": sum(
            len({r.patient for r in group}) == 1 and bool(group[0].patient) for group in records
        ),
        "conflicts": sum(conflicts),
        "members": [[_describe_member(r, labels) for r in records[i]] for i in order[:MOST_LISTED]],
    }


def _describe_member(record: ImageRecord, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "name": record.name,
        "split": split_name(record),
        "patient": record.patient,
        "positive": [
            label for label, value in zip(labels, record.labels, strict=True) if value == POSITIVE
        ],
    }


def labels_disagree(records: Sequence[ImageRecord]) -> bool:
    """Returns whether some label is positive for one record and negative for another."""
    by_label = zip(*(record.labels for record in records), strict=True)
    return any({POSITIVE, NEGATIVE} <= set(values) for values in by_label)


def patients(records: Sequence[ImageRecord]) -> dict[str, Any]:
    """Returns {known: share of images, across: [patient], shared_numbers: int}.

    `across` lists the patients in more than one split. `shared_numbers` counts how many there
    would seem to be if only the leading word and the number of a patient were read, where series
    that count by themselves meet ("person1_virus" and "person1_bacteria").
    """
    known = [r for r in records if r.patient]
    splits_by_patient: dict[str, set[str]] = {}
    splits_by_number: dict[tuple[str, str], set[str]] = {}
    for record in known:
        splits_by_patient.setdefault(record.patient, set()).add(split_name(record))
        if match := SERIES.match(record.patient):
            splits_by_number.setdefault((match[1], match[2]), set()).add(split_name(record))
    across = sorted(patient for patient, splits in splits_by_patient.items() if len(splits) > 1)
    seeming = sum(len(splits) > 1 for splits in splits_by_number.values())
    return {
        "known": len(known) / len(records) if records else 0.0,
        "across": across,
        "shared_numbers": max(0, seeming - len(across)),
    }
