"""A large group of near-duplicates is not moved into one split without a question."""

import pytest

from trainer.data.prepare import large_groups
from trainer.data.sources import ImageRecord
from trainer.system.errors import UsageError


def records(alike: int, others: int, split: str = "", patients: int = 0) -> list[ImageRecord]:
    """Those that look alike first; the last ones have patients."""
    unknown = [ImageRecord(f"{n}.png", (0,), split=split) for n in range(alike + others)]
    return unknown + [ImageRecord(f"p{n}.png", (1,), f"p{n}") for n in range(patients)]


def groups(alike: int, others: int) -> list[int]:
    return [0] * alike + list(range(1, others + 1))


@pytest.mark.parametrize("split", ["", "train"])
def test_a_group_of_more_than_the_share_is_refused_with_the_way_out(split: str):
    with pytest.raises(UsageError) as refusal:
        large_groups.check(records(12, 60, split, patients=28), groups(12, 60), 0.1)
    assert str(refusal.value).startswith("12 of 100 images look nearly the same, such as 0.png and")
    assert "--max_alike=0.1" in str(refusal.value) and "--patient_regex" in str(refusal.value)


@pytest.mark.parametrize(
    ("alike", "others", "split", "most"),
    [(10, 90, "", 0.1), (5, 7, "", 0.1), (40, 60, "test", 0.1), (40, 60, "", 0.4)],
    ids=["small enough", "few", "of test already", "allowed"],
)
def test_other_groups_are_taken(alike: int, others: int, split: str, most: float):
    large_groups.check(records(alike, others, split), groups(alike, others), most)
