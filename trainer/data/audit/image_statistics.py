"""What there is in a source: counts, sizes, damage, copies, patients, and labels that disagree."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.data import duplicates
from trainer.data.audit.inspection import Inspected
from trainer.data.sources.image_record import KNOWN, NEGATIVE, POSITIVE, ImageRecord

SPLITS = ("train", "val", "test", "")
ALL = "all"  # what a source without splits calls its one
MOST_LISTED = 200
SPREAD = ("least", "median", "most")
# "person_virus-3" -> person and 3: what is left where somebody reads the number alone.
SERIES = re.compile(r"([A-Za-z]+)\S*?-(\d+)$")


def split_of(record: ImageRecord) -> str:
    return record.split or ALL


def counts(found: Sequence[Inspected], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns {split: {images, patients, refused, per_label: {label: {positive, ...}}}}.

    `images` can be used; `refused` cannot. `patients` leaves out images of which none is known.
    """
    result = {}
    for split in SPLITS:
        part = [f for f in found if f.record.split == split]
        good = [f.record for f in part if not f.reason]
        if not part:
            continue
        values = [Counter(r.labels[number] for r in good) for number in range(len(labels))]
        result[split or ALL] = {
            "images": len(good),
            "patients": len({r.patient for r in good if r.patient}),
            "refused": len(part) - len(good),
            "per_label": {
                label: {name: of[value] for name, value in KNOWN.items()}
                for label, of in zip(labels, values, strict=True)
            },
        }
    return result


def damage(found: Sequence[Inspected]) -> dict[str, Any]:
    """Returns {count, reasons: {reason: files}, files: [{name, split, reason}]}, cut at 200."""
    bad = [f for f in found if f.reason]
    files = [{"name": f.record.name, "split": split_of(f.record), "reason": f.reason} for f in bad]
    reasons = Counter(f.reason for f in bad)
    return {
        "count": len(bad),
        "reasons": dict(reasons.most_common(MOST_LISTED)),
        "files": files[:MOST_LISTED],
    }


def sizes(good: Sequence[Inspected]) -> dict[str, Any]:
    """Returns {width, height: {least, median, most}, different: how many, in pixels}."""
    sides = np.array([(f.trace.width, f.trace.height) for f in good])
    spread = {
        name: dict(zip(SPREAD, np.quantile(of, [0, 0.5, 1]).tolist(), strict=True))
        for name, of in zip(("width", "height"), sides.T, strict=True)
    }
    return spread | {"different": len(np.unique(sides, axis=0))}


def copies(good: Sequence[Inspected], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the copies, `exact` (the same pixels) and `near` (the same but for the encoding).

    Each is {groups, images, within: {split: groups}, across, one_patient, conflicts, members}:
      groups, images: how many groups, and how many images in them
      within, across: groups in one split, and in more than one
      one_patient: groups of one known patient
      conflicts: groups in which a label is positive here and negative there
      members: [[{name, split, patient, positive: [label]}]] of at most 200 groups, those across
        splits first, then those whose labels disagree
    A near group holds at least two different pictures.
    """
    exact = duplicates.exact_groups([f.digest for f in good])
    near = [
        group
        for group in duplicates.members(duplicates.near_groups([f.fingerprint for f in good]))
        if len({exact[image] for image in group}) > 1
    ]
    return {
        "exact": _described(good, duplicates.members(exact), labels),
        "near": _described(good, near, labels),
    }


def _described(
    good: Sequence[Inspected], groups: list[list[int]], labels: Sequence[str]
) -> dict[str, Any]:
    records = [[good[image].record for image in group] for group in groups]
    splits = [{split_of(r) for r in group} for group in records]
    across = [len(of) > 1 for of in splits]
    conflicts = [disagree(group) for group in records]
    order = sorted(range(len(groups)), key=lambda i: (not across[i], not conflicts[i]))
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "within": dict(Counter(next(iter(of)) for of in splits if len(of) == 1)),
        "across": sum(across),
        "one_patient": sum(
            len({r.patient for r in group}) == 1 and bool(group[0].patient) for group in records
        ),
        "conflicts": sum(conflicts),
        "members": [[_shown(r, labels) for r in records[i]] for i in order[:MOST_LISTED]],
    }


def _shown(record: ImageRecord, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "name": record.name,
        "split": split_of(record),
        "patient": record.patient,
        "positive": [
            label for label, value in zip(labels, record.labels, strict=True) if value == POSITIVE
        ],
    }


def disagree(records: Sequence[ImageRecord]) -> bool:
    """Whether some label is positive of one record and negative of another."""
    return any(
        {POSITIVE, NEGATIVE} <= set(of) for of in zip(*(r.labels for r in records), strict=True)
    )


def patients(records: Sequence[ImageRecord]) -> dict[str, Any]:
    """Returns {known: share of images, across: [patient], shared_numbers: int}.

    `across` lists the patients in more than one split. `shared_numbers` counts how many there
    would seem to be if only the leading word and the number of a patient were read, where series
    that count by themselves meet ("person1_virus" and "person1_bacteria").
    """
    known = [r for r in records if r.patient]
    seen_in: dict[str, set[str]] = {}
    numbers: dict[tuple[str, str], set[str]] = {}
    for record in known:
        seen_in.setdefault(record.patient, set()).add(split_of(record))
        if match := SERIES.match(record.patient):
            numbers.setdefault(match.groups(), set()).add(split_of(record))
    across = sorted(patient for patient, splits in seen_in.items() if len(splits) > 1)
    seeming = sum(len(splits) > 1 for splits in numbers.values())
    return {
        "known": len(known) / len(records) if records else 0.0,
        "across": across,
        "shared_numbers": max(0, seeming - len(across)),
    }
