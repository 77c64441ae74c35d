"""Labels without an image in train are left out, but not those that exclusive classes need."""

import pytest

from trainer.data.prepare import learnable_labels
from trainer.data.prepare.splits import SplitAssignment
from trainer.data.sources import ImageRecord
from trainer.system.errors import UsageError

SPLITS = {
    "train": [ImageRecord("a", (1, 0, 0, 0)), ImageRecord("b", (0, 0, 1, -1))],
    "validation": [ImageRecord("c", (0, 0, 0, 1))],
    "test": [ImageRecord("d", (1, -1, 0, 0))],
}
CONFLICTS = [{"names": ["a", "b"], "labels": [[1, 0, 0, 0], [0, 0, 1, -1]]}]


@pytest.mark.parametrize(("exclusive", "kept"), [(False, [0, 2]), (True, [0, 2, 3])])
def test_labels_that_no_image_of_train_has_are_left_out(exclusive: bool, kept: list[int]):
    assignment = SplitAssignment(SPLITS, [], CONFLICTS)
    assert learnable_labels.numbers(assignment, exclusive) == kept
    reduced = learnable_labels.reduced(assignment, [0, 2])
    assert [r.labels for r in reduced.splits["train"]] == [(1, 0), (0, 1)]
    assert reduced.splits["test"][0].labels == (1, 0)
    assert reduced.conflicts[0]["labels"] == [[1, 0], [0, 1]]


def test_a_set_without_any_label_in_train_is_refused():
    nothing = SplitAssignment({**SPLITS, "train": SPLITS["validation"]}, [], [])
    assert learnable_labels.numbers(nothing, exclusive=False) == [3]
    nothing.splits["train"] = [ImageRecord("e", (0, 0, 0, -1))]
    with pytest.raises(UsageError, match="no image of train has any of the labels"):
        learnable_labels.numbers(nothing, exclusive=False)
