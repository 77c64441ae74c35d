"""Behaviour of the montage of filters: one scale, symmetrical around 0."""

import itertools

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import table
from trainer.show.pictures.filters import filter_montage as drawn_montage


def filter_montage(*arguments, **options):
    return drawn_montage(*arguments, **options).pixels


def places(picture, level):
    """Rows and columns of the pixels of this grey, above the legend."""
    return np.nonzero((picture[:-45] == level).all(axis=-1))


def one_filter(*weights, channels=1):
    """A filter [1, 1, w, c] whose weights are spread over its input channels."""
    row = np.array(weights, np.float32)[None, None, :, None] / channels
    return np.repeat(row, channels, axis=3)


def test_mid_grey_is_zero_and_both_signs_are_equally_far_from_it():
    picture = filter_montage("conv", one_filter(-2.0, -1.0, 0.0, 1.0, 2.0))

    columns = [places(picture, level)[1] for level in (1, 64, 128, 192, 255)]
    assert all(len(found) > 200 for found in columns)
    assert all(left.max() < right.min() for left, right in itertools.pairwise(columns))


def test_the_sum_over_the_colours_is_what_acts_on_a_grey_image():
    opposite = np.stack([one_filter(1.0, 2.0), one_filter(-1.0, 2.0)], axis=4)[..., 0, :]

    picture = filter_montage("conv", opposite)

    assert len(places(picture, 128)[0]) == len(places(picture, 255)[0]) > 1000
    tiles = [picture[60:-45] for picture in map_channels(3)]
    np.testing.assert_array_equal(*tiles)


def map_channels(channels):
    """The same filter on one input channel and spread over several."""
    weights = (-1.0, 0.0, 0.5)
    return [filter_montage("conv", one_filter(*weights, channels=n)) for n in (1, channels)]


def test_viridis_is_centred_on_zero():
    picture = filter_montage("conv", one_filter(-1.0, 0.0, 1.0), colour_map="viridis")

    for level in (1, 128, 255):
        assert len(places(picture, table("viridis")[level])[0]) > 500


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_does_not_spoil_the_others(bad):
    with np.errstate(all="raise"):
        picture = filter_montage("conv", one_filter(bad, 0.0, 1.0, -1.0))

    assert len(places(picture, 255)[0]) == len(places(picture, 1)[0]) > 100


def test_filters_of_zeros_are_mid_grey():
    with np.errstate(all="raise"):
        picture = filter_montage("conv", np.zeros((9, 5, 5, 1), np.float32))

    assert len(places(picture, 128)[0]) == 9 * 80 * 80


@pytest.mark.parametrize("shape", [(1, 3, 3, 1), (64, 7, 7, 3), (16, 1, 9, 2), (3, 200, 200, 1)])
def test_a_montage_of_filters_fits_the_width(shape):
    filters = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    picture = filter_montage("conv", filters)

    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert picture.shape[1] <= canvas.MAX_WIDTH


def test_each_filter_is_a_tile_below_the_scale():
    drawn = drawn_montage("conv", one_filter(-2.0, 0.0, 1.0, 2.0))
    ((title, tiles),) = drawn.groups
    assert title == "-2 to +2, the middle is 0" and [tile.caption for tile in tiles] == ["0"]
    left, top, width, height = tiles[0].box
    assert drawn.pixels[top, left].tolist() == [1] * 3
    assert drawn.pixels[top + height - 1, left + width - 1].tolist() == [255] * 3
