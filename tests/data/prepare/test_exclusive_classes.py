"""Every image of an exclusive data set has one class, and a finished data set keeps its kind."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer.data import summary_file
from trainer.data.prepare import data_summary, preparation
from trainer.data.prepare.exclusive_classes import are_possible, one_class_each
from trainer.data.sources import ImageRecord
from trainer.system.errors import UsageError

SOURCE = SimpleNamespace(
    name="table.csv", labels=("NORMAL", "COVID", "OTHER"), fingerprint="0", columns=()
)


def test_what_is_not_the_class_is_negative_and_refused_records_stay():
    refused = ImageRecord("gone", (-1, -1, -1), refused="the image does not exist")
    records = one_class_each([ImageRecord("a", (-1, 1, -1)), refused], SOURCE)
    assert records == [ImageRecord("a", (0, 1, 0)), refused]


@pytest.mark.parametrize(
    ("labels", "found"),
    [((0, 0, 0), "none"), ((-1, -1, -1), "none"), ((1, 0, 1), "NORMAL and OTHER")],
)
def test_an_image_with_no_class_or_several_is_refused(labels: tuple[int, ...], found: str):
    records = [ImageRecord("a", (1, 0, 0)), ImageRecord("b.png", labels)]
    with pytest.raises(UsageError, match=rf"1 of the 2 images .* b\.png \({found}\)"):
        one_class_each(records, SOURCE)


@pytest.mark.parametrize(
    ("rows", "possible"),
    [
        ([(1, 0, 0), (0, 1, -1)], True),
        ([(1, 0, 0), (0, 0, 0)], False),
        ([(1, 0, 0), (1, 1, 0)], False),
        ([(1,), (1,)], False),  # one output of two classes
    ],
)
def test_labels_of_which_each_image_has_one_may_be_classes(rows: list, possible: bool):
    refused = ImageRecord("gone", (-1,) * len(rows[0]), refused="the image does not exist")
    records = [ImageRecord(f"{k}.png", labels) for k, labels in enumerate(rows)]
    assert are_possible([*records, refused]) == possible


@pytest.mark.parametrize("stored", [False, True])
def test_a_finished_data_set_keeps_its_kind(tmp_path: Path, stored: bool):
    settings = {"fingerprint": "0", "max_side": 512, "keep_official_validation": None}
    settings |= {"any_view": False, "uniform": False, "source": "table.csv"}
    settings |= {"labels": [], "splits": {}, "shards": []} | ({"exclusive": True} if stored else {})
    summary_file.write(tmp_path, settings)
    for asked in (None, stored):
        summary = preparation.prepare(SOURCE, tmp_path, exclusive=asked)
        assert summary.get("exclusive", False) == stored
    with pytest.raises(UsageError, match="in another way"):
        preparation.prepare(SOURCE, tmp_path, exclusive=not stored)


def test_the_terminal_counts_the_images_of_each_class():
    split = {"images": 9, "patients": 7}
    split["per_label"] = {"A": {"positive": 4, "negative": 5, "unknown": 0}}
    summary = {"labels": ["A"], "splits": {"train": split}, "exclusive": True}
    summary |= {"skipped": [], "moved": [], "conflicts": []}
    shown = data_summary.describe(summary)
    assert "4 / 5" not in shown and "one of these classes" in shown
