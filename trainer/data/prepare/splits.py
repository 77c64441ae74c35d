"""Which split each patient belongs to: by a hash, stratified, duplicates kept together.

A patient's hash never changes, and below a fixed threshold it means the held-out split. In a
stratum (the patients with the same labels) whose share would be off by more than a quarter or a
whole patient, whichever is more, or that would be missing from a split, the patients whose hash
lies nearest to the threshold are moved. So adding patients to a stratum that is off neither
before nor after moves nobody, and in one that is off only those nearest to the threshold: of the
same labels, a stratum of 2,000 is off in one of thousands of sets, one of 200 in one of five.
"""

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN, ImageRecord
from trainer.system.errors import UsageError

SPLITS = ("train", "validation", "test")  # the later, the more held out
TEST_SHARE = 0.2  # of the patients, where a source has no test folder
VALIDATION_SHARE = 0.1  # of the patients that are left
LEAST_VALIDATION = 0.05  # share of val in train and val from which on it can choose anything
RARE = 10  # patients with the same labels are a stratum of their own from this many on


@dataclass(frozen=True)
class SplitAssignment:
    """Which split each record belongs to.

    Attributes:
      splits: the records of train, validation and test, in the order given.
      moved: {name, from, to} for each record that its source has in another split.
      conflicts: {names, labels} for each set of identical files with different labels.
    """

    splits: dict[str, list[ImageRecord]]
    moved: list[dict]
    conflicts: list[dict]


def assign(
    records: Sequence[ImageRecord],
    digests: Sequence[bytes],
    *,
    keep_validation: bool | None = None,
    guessed: Collection[str] = (),
    fold: tuple[int, int] | None = None,
) -> SplitAssignment:
    """Assigns records to train, validation and test so that no patient is in two of them.

    The source's test split stays as it is; without one, a fifth of the patients become it. The
    source's val is the validation split; without one that is large enough it joins train, and a
    tenth of the patients become validation. Patients that share an identical file stay together,
    in the most held-out split that their source has one of them in: test, then validation.

    Args:
      records: all with a patient.
      digests: of the bytes of each record's file.
      keep_validation: whether the source's own val is the validation split; None keeps it where it
        has `LEAST_VALIDATION` of the images, which the 16 of a well-known archive have not.
      guessed: the patients that are only groups of near-duplicates: one in two splits of the
        source is moved to the more held-out one, not refused.
      fold: (n, K) makes the n-th of K folds the test split, whatever splits the source has; each
        patient is in one fold.

    Raises:
      UsageError: if a known patient lies in two splits of the source, a split would be empty, or
        train would have one class only.
    """
    if fold:
        records, keep_validation = [replace(record, split="") for record in records], False
    if keep_validation is None:
        count = Counter(record.split for record in records if record.split != "test")
        keep_validation = count["val"] >= LEAST_VALIDATION * count.total() > 0
    official = [_official(record, keep_validation) for record in records]
    _refuse_patients_in_two(records, official, guessed)
    group_of = _groups(records, digests)
    members: dict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        members[group_of[record.patient]].append(number)
    split_of_group = {
        group: max((official[n] for n in numbers), key=SPLITS.index)
        for group, numbers in members.items()
    }
    free = [group for group, split in split_of_group.items() if split == "train"]
    labels = {group: _together(records[n].labels for n in members[group]) for group in free}
    strata = stratify(labels)
    if fold:
        held_out = _of_fold(strata, *fold)
        split_of_group.update(dict.fromkeys(held_out, "test"))
        strata = [[group for group in stratum if group not in held_out] for stratum in strata]
    drawn = [
        (split, share)
        for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE))
        if split not in split_of_group.values() and not (split == "validation" and keep_validation)
    ]
    for stratum in strata:
        for number, (split, share) in enumerate(drawn):
            chosen = _drawn(stratum, split, share, spare=len(drawn) - number)
            split_of_group.update(dict.fromkeys(chosen, split))
            stratum = [group for group in stratum if group not in chosen]
    splits: dict[str, list[ImageRecord]] = {split: [] for split in SPLITS}
    moved = []
    for record, own_split in zip(records, official, strict=True):
        group = group_of[record.patient]
        split = split_of_group[group]
        splits[split].append(record)
        if group not in labels and own_split != split:
            moved.append({"name": record.name, "from": record.split, "to": split})
    _refuse_useless(splits, keep_validation)
    return SplitAssignment(splits, moved, _conflicts(records, digests))


def all_in_test(records: Sequence[ImageRecord], digests: Sequence[bytes]) -> SplitAssignment:
    """Puts all records into test, wherever their source has them, as nothing is learnt from them.

    Args:
      records: all with a patient.
      digests: of the bytes of each record's file.
    """
    splits = {split: list(records) if split == "test" else [] for split in SPLITS}
    return SplitAssignment(splits, [], _conflicts(records, digests))


def refuse_one_class(records: Sequence[ImageRecord]) -> None:
    """Refuses what cannot be split, as far as that is known before an image is decoded.

    Args:
      records: all of a source.

    Raises:
      UsageError: if there is one label, and outside of the source's test split all have one value.
    """
    labels = {r.labels for r in records if r.split != "test" and not r.refused}
    known = {value for values in labels for value in values} - {UNKNOWN}
    if labels and len(records[0].labels) == 1 and len(known) < 2:
        found = {POSITIVE: "positive", NEGATIVE: "negative"}[known.pop()] if known else "unknown"
        raise UsageError(
            f"the label of all images outside of the test split is {found}: give a source whose "
            "train part has images of both classes."
        )


def by_near_duplicates(records: Sequence[ImageRecord], groups: Sequence[int]) -> list[ImageRecord]:
    """Gives records without a patient the first name of their near-duplicates' group.

    Args:
      records: any; those with a patient keep it.
      groups: a number for each record without a patient, in their order.
    """
    first: dict[int, str] = {}
    unknown = [record for record in records if not record.patient]
    for record, group in zip(unknown, groups, strict=True):
        first[group] = min(record.name, first.get(group, record.name))
    numbers = iter(groups)
    return [r if r.patient else replace(r, patient=first[next(numbers)]) for r in records]


def stratify(labels: Mapping[str, tuple[int, ...]]) -> list[list[str]]:
    """Groups patients by their combination of labels or, where it is rare, by its rarest label.

    Args:
      labels: of each patient, K values of 1, 0 and -1.

    Returns:
      The patients of each stratum.
    """
    positives = {key: _positives(values) for key, values in labels.items()}
    combinations = Counter(positives.values())
    patients = Counter(label for found in positives.values() for label in found)
    strata: dict[tuple, list[str]] = defaultdict(list)
    for key, found in positives.items():
        if len(found) > 1 and combinations[found] < RARE:
            found = (min(found, key=lambda label: (patients[label], label)),)
        # A patient without any positive or negative label may be healthy or not.
        known = any(value != UNKNOWN for value in labels[key])
        strata[found, known].append(key)
    return list(strata.values())


def _of_fold(strata: Sequence[Sequence[str]], number: int, folds: int) -> set[str]:
    """Returns the patients of a fold, from 1: each stratum is dealt out in the order of hashes."""
    ordered = (sorted(stratum, key=lambda patient: _hash("fold", patient)) for stratum in strata)
    dealt = itertools.chain.from_iterable(ordered)
    return set(itertools.islice(dealt, number - 1, None, folds))


def _drawn(stratum: Sequence[str], split: str, share: float, *, spare: int) -> set[str]:
    """Returns the patients of `stratum` that become `split`; at least `spare` are left."""
    asked = share * len(stratum)
    slack = max(1.0, asked / 4)
    enough = len(stratum) > spare
    fewest = max(math.ceil(asked - slack), int(enough))
    most = max(fewest, math.floor(asked + slack))
    natural = sum(_hash(split, patient) < share for patient in stratum)
    count = min(max(natural, fewest), most, len(stratum) - spare if enough else natural)
    return set(sorted(stratum, key=lambda patient: _hash(split, patient))[:count])


def _hash(split: str, patient: str) -> float:
    """Returns a number in [0, 1) that depends on the split and the patient alone."""
    digest = hashlib.sha256(f"{split}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _official(record: ImageRecord, keep_validation: bool) -> str:
    if record.split == "val" and keep_validation:
        return "validation"
    return "test" if record.split == "test" else "train"


def _refuse_patients_in_two(
    records: Sequence[ImageRecord], official: Sequence[str], guessed: Collection[str]
) -> None:
    seen: dict[str, tuple[ImageRecord, str]] = {}
    split_up: dict[str, str] = {}
    for record, split in zip(records, official, strict=True):
        other, other_split = seen.setdefault(record.patient, (record, split))
        if other_split != split and record.patient not in guessed:
            where = f"{other_split} ({other.name}) and {split} ({record.name})"
            split_up.setdefault(record.patient, where)
    if split_up:
        patient, where = next(iter(split_up.items()))
        count = f"{len(split_up):,} patients are" if len(split_up) > 1 else "1 patient is"
        raise UsageError(
            f"{count} in two splits of the source, such as {patient} in both {where}: move all "
            "images of a patient into one split of the source, leave its splits out to have them "
            "drawn, or, if that is no patient, give --patient_column=none; `radiograph audit` of "
            "the source lists them."
        )


def _groups(records: Sequence[ImageRecord], digests: Sequence[bytes]) -> dict[str, str]:
    """Returns for each patient the first of all patients linked by identical files."""
    leader: dict[str, str] = {record.patient: record.patient for record in records}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            leader[patient] = leader[leader[patient]]
            patient = leader[patient]
        return patient

    owner: dict[bytes, str] = {}
    for record, digest in zip(records, digests, strict=True):
        one, other = find(record.patient), find(owner.setdefault(digest, record.patient))
        leader[max(one, other)] = min(one, other)
    return {patient: find(patient) for patient in leader}


def _together(labels: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns a patient's labels over all images: positive before negative before unknown."""
    return tuple(max(values) for values in zip(*labels, strict=True))


def _positives(labels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for number, value in enumerate(labels) if value == POSITIVE)


def _refuse_useless(splits: Mapping[str, Sequence[ImageRecord]], keep_validation: bool) -> None:
    for split, part in splits.items():
        if part:
            continue
        if split == "validation" and keep_validation:
            raise UsageError(
                "the source has no val/ that --keep_official_validation could keep: leave the "
                "flag out to draw a tenth of the patients instead."
            )
        given = Counter(record.split for part in splits.values() for record in part)
        if split == "train" and not (given["train"] or given[""]):
            named = " and ".join(f"{count:,} images into {name}" for name, count in given.items())
            raise UsageError(
                f"the train split would be empty, as the source puts {named}, and none into train: "
                "add the part to train on, or read a table without --split_column, or one split's "
                "folder alone, to have the splits drawn."
            )
        patients = len({record.patient for part in splits.values() for record in part})
        raise UsageError(
            f"the {split} split would be empty: the source has {patients} patients, too few to "
            "divide into train, validation and test."
        )
    if any(len(record.labels) != 1 for record in splits["train"]):
        return
    if {POSITIVE, NEGATIVE} - {label for record in splits["train"] for label in record.labels}:
        raise UsageError(
            "the train split would have one class only: give a source whose train part has images "
            "of both."
        )


def _conflicts(records: Sequence[ImageRecord], digests: Sequence[bytes]) -> list[dict]:
    same: dict[bytes, list[ImageRecord]] = defaultdict(list)
    for record, digest in zip(records, digests, strict=True):
        same[digest].append(record)
    return [
        {"names": [r.name for r in found], "labels": [list(r.labels) for r in found]}
        for found in same.values()
        if len({r.labels for r in found}) > 1
    ]
