"""Masks as run lengths are labels."""

import pytest

from trainer.data.sources.run_lengths import as_values


def test_a_mask_is_positive_and_minus_one_is_none():
    cells, notes = as_values([("557374 2 1015 8",), ("-1",), ("",)], ["EncodedPixels"])
    assert cells == [("1",), ("0",), ("",)]
    assert notes == [
        "column 'EncodedPixels' holds the run lengths of masks: 1 with a mask, 0 without (-1)"
    ]


@pytest.mark.parametrize(
    "cells",
    [[("-1",), ("1",)], [("1 2 3",)], [("1 0",), ("1 1",)], [("1 1",), ("Mass",)], [("1 2", "-1")]],
)
def test_other_cells_stay_as_they_are(cells: list[tuple[str, ...]]):
    assert as_values(cells, ["x"] * len(cells[0])) == (cells, [])
