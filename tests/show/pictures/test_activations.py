"""Behaviour of the montage of a layer: which channels, on which scale, where."""

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.activations import (
    CROSS,
    DEAD,
    activation_thumbnail,
    most_active_channels,
)
from trainer.show.pictures.activations import activation_montage as drawn_montage
from trainer.show.pictures.colours import table
from trainer.show.pictures.thumbnail import COLUMNS, EDGE, TILE


def activation_montage(*arguments, **options):
    return drawn_montage(*arguments, **options).pixels


def places(picture, colour):
    """Rows and columns of the pixels of exactly this colour, above the legend."""
    return np.nonzero((picture[:-45] == colour).all(axis=-1))


def is_picture(picture):
    return picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def ramps(channels, size=8):
    """Maps of 2 examples, each channel a ramp of a different height."""
    heights = np.arange(channels, dtype=np.float32)
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    return np.broadcast_to(ramp[None, None, :, None] * heights, (2, size, size, channels)).astype(
        np.float32
    )


def test_the_most_active_channels_come_first():
    maps = ramps(4)[..., [2, 0, 3, 1]]

    assert most_active_channels(maps, 3).tolist() == [2, 0, 3]
    assert most_active_channels(maps).tolist() == [2, 0, 3, 1]


def test_a_montage_shows_the_same_channel_of_both_examples_on_one_scale():
    maps = np.zeros((2, 8, 8, 1), np.float32)
    maps[0, :4] = 2.0
    maps[1, :4] = 1.0

    picture = activation_montage("conv", maps, ["", ""])

    full, half = places(picture, 255), places(picture, 128)
    assert len(full[0]) > 1000 and len(half[0]) > 1000
    assert full[1].max() < half[1].min()
    assert full[0].max() == half[0].max()


def test_viridis_shows_the_same_levels_in_its_colours():
    maps = np.zeros((2, 8, 8, 1), np.float32)
    maps[0, :4], maps[1, :4] = 2.0, 1.0

    grey = activation_montage("conv", maps, ["", ""])
    viridis = activation_montage("conv", maps, ["", ""], colour_map="viridis")

    for level in (0, 128, 255):
        expected = places(grey, level)
        assert len(expected[0]) > 1000
        # White is the colour of nothing else here; black, too, is that of tiles alone.
        np.testing.assert_array_equal(places(viridis, table("viridis")[level]), expected)


@pytest.mark.parametrize("shape", [(224, 224, 16), (56, 56, 64), (7, 7, 512), (1, 1, 8), (7, 5, 3)])
@pytest.mark.parametrize("examples", [1, 2, 3, 8])
def test_a_montage_fits_the_width(shape, examples):
    maps = np.random.default_rng(0).random((examples, *shape), dtype=np.float32)

    picture = activation_montage("conv", maps, ["NORMAL"] * examples)
    whole = activation_montage("conv", maps, ["NORMAL"] * examples, max_channels=None)

    assert is_picture(picture) and picture.shape[1] <= canvas.MAX_WIDTH
    assert is_picture(whole) and whole.shape[1] <= canvas.MAX_WIDTH
    assert picture.std() > 10


def test_the_pixels_of_a_small_map_are_squares_of_equal_size():
    maps = np.zeros((2, 7, 7, 1), np.float32)
    maps[0, ::2, ::2] = 1.0
    maps[1, 0, 0] = 0.5

    rows, columns = places(activation_montage("conv", maps, ["", ""]), 255)

    for axis in (rows, columns):
        runs = np.split(np.unique(axis), np.flatnonzero(np.diff(np.unique(axis)) > 1) + 1)
        assert [len(run) for run in runs] == [14] * 4


def test_a_large_map_is_reduced_by_means():
    maps = np.zeros((2, 202, 202, 1), np.float32)
    maps[0, :201:3] = 1.0  # a third of the rows that make a pixel
    maps[1] = 1.0

    picture = activation_montage("conv", maps, ["", ""])

    assert len(places(picture, 85)[0]) == 67 * 68
    assert len(places(picture, 255)[0]) == 68 * 68


def test_numbers_are_those_of_the_channels():
    maps = ramps(40)
    few = activation_montage("conv", maps, ["", ""])
    other = activation_montage("conv", np.roll(maps, 1, axis=3), ["", ""])

    rows = np.flatnonzero((few != other).any(axis=(1, 2)))

    # The same tiles below numbers one higher; 39 comes round to 0.
    assert len(rows) and (few == 255).all(axis=-1).sum() == (other == 255).all(axis=-1).sum()
    assert np.ptp(rows[rows < rows[0] + 40]) < 12


def test_the_number_of_channels_can_be_chosen():
    maps = ramps(129)[..., 1:]

    counts = []
    for n in (16, 64, None):
        picture = activation_montage("c", maps, ["", ""], max_channels=n)
        counts.append(np.count_nonzero(starts((picture == 255).all(axis=-1))))

    assert counts == [2 * 16, 2 * 64, 2 * 128]


def starts(white):
    """The upper left corners of the white areas that are tiles' last columns."""
    tall = white.copy()
    for shift in range(1, 8):
        tall[:-shift] &= white[shift:]
    corner = tall & ~np.roll(tall, 1, axis=0) & ~np.roll(tall, 1, axis=1)
    corner[-45:] = False
    return corner


def test_a_dead_channel_is_crossed_out_and_explained():
    maps = ramps(3)
    maps[..., 0] = 5.0

    dead = activation_montage("conv", maps, ["", ""])
    alive = activation_montage("conv", ramps(4)[..., 1:], ["", ""])

    rows, columns = places(dead, DEAD)
    assert np.ptp(rows) > 80 and np.ptp(columns) > 80 and len(places(dead, CROSS)[0]) > 100
    assert not len(places(alive, DEAD)[0])
    legends = [(picture[-45:] != canvas.BACKGROUND).any(axis=-1) for picture in (dead, alive)]
    assert legends[0].sum() > legends[1].sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_does_not_spoil_the_others(bad):
    maps = ramps(3)
    maps[..., 1] = bad
    maps[0, 0, 0, 2] = bad

    with np.errstate(all="raise"):
        picture = activation_montage("conv", maps, ["", ""])

    assert len(places(picture, 255)[0]) > 100


def test_captions_stand_above_their_blocks_and_do_not_overlap():
    maps = np.random.default_rng(0).random((3, 8, 8, 16), dtype=np.float32)
    blank = activation_montage("conv", maps, [" \n "] * 3)

    ranges = []
    for example in range(3):
        captions = [" \n "] * 3
        captions[example] = "PNEUMONIA\n" + "person1_bacteria_" * 30
        changed = (activation_montage("conv", maps, captions) != blank).any(axis=(0, 2))
        ranges.append(np.flatnonzero(changed)[[0, -1]])

    assert ranges[0][1] + canvas.GAP <= ranges[1][0] and ranges[1][1] + canvas.GAP <= ranges[2][0]


def test_each_channel_is_a_tile_and_of_many_channels_each_example_is_one():
    drawn = drawn_montage("conv", ramps(6), ["NORMAL", "PNEUMONIA"], max_channels=5)
    assert [group.title for group in drawn.groups] == ["NORMAL", "PNEUMONIA"]
    for tiles in (group.tiles for group in drawn.groups):
        assert [tile.caption for tile in tiles] == ["5", "4", "3", "2", "1"]
        for left, top, width, height in (tile.box for tile in tiles):
            tile = drawn.pixels[top : top + height, left : left + width]
            assert (tile[:, 0] == 0).all() and (tile[:, -1] == 255).all()
    many = drawn_montage("conv", ramps(40), ["NORMAL", "PNEUMONIA"], max_channels=None)
    assert [len(group.tiles) for group in many.groups] == [1, 1]
    left, top, width, height = many.groups[1].tiles[0].box
    assert (many.pixels[top : top + height, left : left + width] != canvas.BACKGROUND).any()


def test_a_thumbnail_shows_the_most_active_channels_of_the_first_and_last_example():
    maps = np.zeros((3, 8, 8, 6), np.float32)
    maps[0, :4, :, 5] = 1.0
    maps[2, :, :4, 5] = 1.0
    picture = activation_thumbnail("conv", maps, ["a", "b", "c"])
    assert picture.shape[1] == COLUMNS * (TILE + canvas.GAP) - canvas.GAP + 2 * EDGE
    bright = (picture == 255).all(axis=2)[:, EDGE : EDGE + TILE]
    assert bright.sum() == 2 * TILE * TILE // 2  # channel 5 first, in two rows
