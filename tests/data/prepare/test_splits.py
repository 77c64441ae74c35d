"""Patients are split by a hash, stratified, and those with identical files stay together."""

from itertools import pairwise
from pathlib import Path

import pytest
from scipy.stats import binom

from trainer.data import sources
from trainer.data.prepare import splits
from trainer.data.sources import ImageRecord
from trainer.system.errors import UsageError


def patients(
    count: int, split: str = "", positive: float = 0.5, start: int = 0, images: int = 2
) -> list[ImageRecord]:
    """Patients of whom a share is positive, spread evenly."""
    return [
        ImageRecord(f"{p}-{i}", (int((p * positive) % 1 + positive >= 1),), f"IM-{p}", split)
        for p in range(start, start + count)
        for i in range(images)
    ]


def assign(
    records: list[ImageRecord], keep_validation: bool | None = None
) -> splits.SplitAssignment:
    """Assigns records no two of which have the same file."""
    return splits.assign(
        records, [record.name for record in records], keep_validation=keep_validation
    )


def split_of(assignment: splits.SplitAssignment) -> dict[str, str]:
    return {r.name: split for split, part in assignment.splits.items() for r in part}


def patients_of(part: list[ImageRecord]) -> set[str]:
    return {record.patient for record in part}


def positives(part: list[ImageRecord]) -> int:
    return len({record.patient for record in part if record.labels[0] == 1})


def test_every_record_is_in_one_split_and_no_patient_in_two():
    given = patients(450) + patients(50, start=1000, images=1)
    assignment = assign(given)
    parts = assignment.splits
    assert sorted(split_of(assignment)) == sorted(record.name for record in given)
    assert sum(len(patients_of(part)) for part in parts.values()) == 500
    assert 0.15 <= len(patients_of(parts["test"])) / 500 <= 0.25
    assert 0.075 <= len(patients_of(parts["validation"])) / 400 <= 0.125


def test_the_official_test_split_stays_and_a_val_of_some_size_is_kept():
    few, some = (patients(count, "val", start=500) for count in (5, 20))
    given = patients(100, "train") + patients(20, "test", start=900)
    for val, asked in ((few, None), (some, False)):
        joined = assign(given + val, asked).splits
        assert {r.split for r in joined["test"]} == {"test"} and len(joined["test"]) == 40
        assert {r.split for r in joined["train"]} == {"train", "val"}
    for val, asked in ((some, None), (few, True)):
        kept = assign(given + val, asked).splits
        assert {r.split for r in kept["validation"]} == {"val"}
        assert len(kept["validation"]) == len(val)


@pytest.mark.parametrize("positive", [0.5, 0.2])
def test_adding_200_patients_to_2000_moves_nobody(positive: float):
    before = split_of(assign(patients(2000, positive=positive)))
    after = split_of(assign(patients(2200, positive=positive)))
    assert before.items() <= after.items()


def test_adding_patients_to_a_small_set_moves_only_those_at_the_threshold():
    sizes = range(30, 230, 10)
    homes = [split_of(assign(patients(size, images=1))) for size in sizes]
    moves = [
        sum(after[name] != split for name, split in before.items())
        for before, after in pairwise(homes)
    ]
    assert max(moves) <= 6


@pytest.mark.parametrize("total", [30, 31, 36, 47])
def test_each_split_of_a_small_set_has_both_classes(total: int):
    for shift in range(40):
        given = [
            ImageRecord(f"{n}", (int(n % total < 6),), f"P{shift}-{n}", "") for n in range(total)
        ]
        parts = assign(given).splits
        for part in parts.values():
            assert 0 < positives(part) < len(part)


def test_in_every_stratum_the_share_is_right_within_a_quarter_or_a_patient():
    for count in (12, 40, 90, 250, 900):
        parts = assign(patients(count, positive=0.3)).splits
        for label in (0, 1):
            train, validation, test = (
                len({r.patient for r in parts[split] if r.labels == (label,)})
                for split in splits.SPLITS
            )
            wanted = splits.TEST_SHARE * (train + validation + test)
            assert abs(test - wanted) <= max(1.0, wanted / 4)
            wanted = splits.VALIDATION_SHARE * (train + validation)
            assert abs(validation - wanted) <= max(1.0, wanted / 4)


def test_a_patient_with_a_positive_image_counts_as_positive():
    healthy = [ImageRecord(f"h{n}", (0,), f"H{n}") for n in range(60)]
    mixed = [ImageRecord(f"m{n}-{i}", (i,), f"M{n}") for n in range(6) for i in range(2)]
    assert all(positives(part) for part in assign(healthy + mixed).splits.values())


def test_rare_combinations_of_labels_are_pooled_by_their_rarest_label():
    labels = {f"a{n}": (1, 0, 0) for n in range(20)}
    labels |= {"ab": (1, 1, 0), "abc": (1, 1, 1), "bc": (0, 1, 1)} | {"b": (0, 1, -1)}
    labels |= {f"n{n}": (0, 0, 0) for n in range(5)} | {"unknown": (-1, -1, -1)}
    strata = {frozenset(stratum) for stratum in splits.stratify(labels)}
    assert frozenset({"abc", "bc"}) in strata
    assert frozenset({"ab", "b"}) in strata
    assert frozenset(f"a{n}" for n in range(20)) in strata
    assert frozenset({"unknown"}) in strata


def test_every_split_has_some_of_a_finding_that_five_patients_have():
    given = [ImageRecord(f"{n}", (int(n % 3 == 0), int(n < 5), 0), f"P{n}", "") for n in range(200)]
    for part in assign(given).splits.values():
        assert any(record.labels[1] for record in part)


def test_a_patient_in_two_splits_of_the_source_is_refused():
    given = patients(100, "train") + [ImageRecord("other.png", (0,), "IM-5", "test")]
    with pytest.raises(
        UsageError,
        match=r"1 patient is in two splits .* IM-5 in both train \(5-0\) and test \(other",
    ):
        assign(given)


def test_the_same_file_of_two_patients_keeps_them_in_one_split():
    given = patients(400, images=1)
    digests = [record.name for record in given]
    for n in range(0, 400, 2):
        digests[n + 1] = digests[n]
    assignment = splits.assign(given, digests)
    found = split_of(assignment)
    assert all(found[f"{n}-0"] == found[f"{n + 1}-0"] for n in range(0, 400, 2))
    assert assignment.moved == []


@pytest.mark.parametrize("first", ["train", "test"])
def test_the_same_file_in_two_splits_is_moved_to_the_held_out_side(first: str):
    given = patients(50, "train") + patients(50, "test", start=100)
    digests = [record.name for record in given]
    train, test = 8, 102  # the first image of IM-4 and of IM-101
    copy, original = (train, test) if first == "test" else (test, train)
    digests[copy] = digests[original]
    assignment = splits.assign(given, digests)
    assert assignment.moved == [
        {"name": "4-0", "from": "train", "to": "test"},
        {"name": "4-1", "from": "train", "to": "test"},
    ]
    assert {"IM-4", "IM-101"} <= patients_of(assignment.splits["test"])
    assert "IM-4" not in patients_of(assignment.splits["train"]) | patients_of(
        assignment.splits["validation"]
    )


def test_identical_files_that_chain_patients_are_one_group():
    given = patients(60, images=2)
    digests = [record.name for record in given]
    digests[2], digests[4], digests[5] = digests[1], digests[3], digests[9]
    found = split_of(splits.assign(given, digests))
    assert len({found[f"{n}-0"] for n in (0, 1, 2, 4)}) == 1


def test_the_same_file_with_two_labels_is_a_conflict():
    given = patients(50)
    digests = [record.name for record in given]
    digests[0] = digests[2]
    digests[4] = digests[5]
    conflicts = splits.assign(given, digests).conflicts
    assert conflicts == [{"names": ["0-0", "1-0"], "labels": [[0], [1]]}]


def test_records_without_a_patient_are_grouped_by_near_duplicates():
    given = [ImageRecord(name, (0,)) for name in "bacd"] + [ImageRecord("x", (0,), "IM-1")]
    found = splits.by_near_duplicates(given, [3, 3, 5, 3])
    assert [record.patient for record in found] == ["a", "a", "c", "a", "IM-1"]


def test_near_duplicates_in_two_splits_of_the_source_are_moved_and_known_patients_refused():
    given = patients(50, "train") + [ImageRecord("other.png", (0,), "IM-5", "test")]
    digests = [record.name for record in given]
    assignment = splits.assign(given, digests, guessed={"IM-5"})
    assert [item["name"] for item in assignment.moved] == ["5-0", "5-1"]
    with pytest.raises(UsageError, match="IM-5 in both .*move all images"):
        splits.assign(given, digests, guessed={"IM-6"})


def test_a_set_that_gives_no_useful_splits_is_refused():
    with pytest.raises(UsageError, match="split would be empty: the source has 2 patients"):
        assign(patients(2))
    with pytest.raises(
        UsageError, match="the source puts 40 images into test, and none into train"
    ):
        assign(patients(20, "test"))
    given = patients(50, "train", positive=0.0) + patients(20, "test", start=100)
    with pytest.raises(UsageError, match="the train split would have one class only"):
        assign(given)
    with pytest.raises(UsageError, match="outside of the test split is negative"):
        splits.refuse_one_class(given)
    splits.refuse_one_class(patients(20, "test", positive=0.0))  # of which nothing is drawn
    splits.refuse_one_class(patients(50, "train"))
    with pytest.raises(UsageError, match="no val/ that --keep_official_validation"):
        assign(patients(50, "train") + patients(20, "test", start=100), keep_validation=True)


def test_the_documented_chances_that_a_stratum_is_off_are_right():
    """The chance that a stratum of 200 or 2,000 patients is off, by the binomial distribution."""

    def off(patients: int, share: float) -> float:
        asked = patients * share
        slack = max(1.0, asked / 4)
        number = binom(patients, share)
        return number.cdf(asked - slack - 0.5) + number.sf(asked + slack)

    assert off(2000, splits.VALIDATION_SHARE) < 0.0003 and off(2000, splits.TEST_SHARE) < 1e-6
    assert 0.15 < off(200, splits.VALIDATION_SHARE) < 0.25


def test_the_real_set_is_split_as_its_patients_are(shared_data: Path):
    source = sources.open_source(str(shared_data / "chest_xray_224.zip"))
    parts = assign(source.records()).splits
    assert len(parts["train"]) + len(parts["validation"]) == 5216 and len(parts["test"]) == 310
    assert (
        len(patients_of(parts["train"])) + len(patients_of(parts["validation"]))
        == 1353 + 1090 + 518 + 693
    )


@pytest.mark.parametrize("folds", [2, 5])
def test_each_patient_is_in_test_of_exactly_one_fold_whatever_splits_the_source_has(folds: int):
    records = patients(61, "train") + patients(40, "test", start=50, positive=0.3)
    digests = [{"3-0": "70-0"}.get(record.name, record.name) for record in records]
    held_out = []
    for number in range(1, folds + 1):
        found = splits.assign(records, digests, fold=(number, folds))
        assert found.moved == []
        parts = {split: patients_of(part) for split, part in found.splits.items()}
        assert sum(map(len, parts.values())) == 90  # no patient is in two
        assert sum(map(len, found.splits.values())) == len(records)
        positive = len({r.patient for r in found.splits["test"] if r.labels == (1,)})
        all_positive = len({r.patient for r in records if r.labels == (1,)})
        assert abs(positive - all_positive / folds) < 2
        assert any({"IM-3", "IM-70"} <= part for part in parts.values())  # an identical file
        held_out.append(parts["test"])
    assert sum(map(len, held_out)) == len(set().union(*held_out)) == 90
    again = splits.assign(records, digests, fold=(1, folds))
    assert patients_of(again.splits["test"]) == held_out[0]
