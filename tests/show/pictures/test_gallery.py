"""Behaviour of the gallery of errors."""

import itertools

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.gallery import error_gallery as drawn_gallery

FALSE_POSITIVES = "false positives: NORMAL predicted as PNEUMONIA"
FALSE_NEGATIVES = "false negatives: PNEUMONIA predicted as NORMAL"


def shades(*levels, height=24, width=24):
    return np.array([np.full((height, width, 1), level) for level in levels], np.uint8)


def error_gallery(rows, title="Errors"):
    return drawn_gallery(rows, title).pixels


def centre(picture, level):
    return [axis.mean() for axis in np.nonzero((picture == level).all(axis=-1))]


def test_each_kind_of_error_is_a_row_below_its_label():
    picture = error_gallery(
        [(FALSE_POSITIVES, shades(60, 90), ["a", "b"]), (FALSE_NEGATIVES, shades(120), ["c"])]
    )

    first, second, other = (centre(picture, level) for level in (60, 90, 120))
    assert first[0] == second[0] < other[0] and first[1] == other[1] < second[1]
    tile_top = np.nonzero((picture == 60).all(axis=-1))[0].min()
    assert (picture[tile_top - 26 : tile_top - 4] == canvas.TEXT).all(axis=-1).any()


def test_a_row_without_images_says_so():
    empty = (FALSE_POSITIVES, np.zeros((0, 24, 24, 1), np.uint8), [])
    errors = (FALSE_NEGATIVES, shades(120), ["c"])

    both, alone = error_gallery([empty, errors]), error_gallery([empty])

    assert (alone == canvas.MUTED).all(axis=-1).any()
    assert centre(both, 120)[0] > alone.shape[0] - 40


def test_captions_stay_below_their_own_images():
    rows = [(FALSE_POSITIVES, shades(*range(60, 68)), [" \n "] * 8)]
    blank = error_gallery(rows)

    ranges = []
    for example in range(8):
        captions = [" \n "] * 8
        captions[example] = "person1_bacteria_" * 20 + "\n0.98"
        picture = error_gallery([(FALSE_POSITIVES, shades(*range(60, 68)), captions)])
        rows_of, columns = np.nonzero((picture != blank).any(axis=-1))
        ranges.append((columns.min(), columns.max()))
        assert rows_of.min() > np.nonzero((picture == 60).all(axis=-1))[0].max()

    gaps = [after[0] - before[1] for before, after in itertools.pairwise(ranges)]
    assert min(gaps) > canvas.GAP


@pytest.mark.parametrize("count", [1, 4, 8])
def test_a_gallery_fits_the_width(count):
    levels = range(60, 60 + count)

    picture = error_gallery([("x" * 500, shades(*levels, height=30), ["c"] * count)], "y " * 300)

    assert picture.dtype == np.uint8 and picture.shape[1] <= canvas.MAX_WIDTH
    for level in levels:
        rows, columns = np.nonzero((picture == level).all(axis=-1))
        np.testing.assert_allclose(np.ptp(rows) / np.ptp(columns), 30 / 24, atol=0.02)


def test_each_kind_is_a_group_of_tiles_with_whole_captions():
    rows = [(FALSE_POSITIVES, shades(60, 90), ["a" * 99, "b"]), ("x" * 500, shades(), [])]
    drawn = drawn_gallery(rows, "Errors")
    first, second = drawn.groups
    assert first.title == FALSE_POSITIVES and second == ("x" * 500, [])
    assert [tile.caption for tile in first.tiles] == ["a" * 99, "b"]
    for tile, level in zip(first.tiles, (60, 90), strict=True):
        left, top, width, height = tile.box
        assert (drawn.pixels[top : top + height, left : left + width] == level).all()
