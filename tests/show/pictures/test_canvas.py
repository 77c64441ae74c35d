"""Behaviour of the ground of a picture: headings, captions, tiles, files."""

import io

import numpy as np
import pytest
from PIL import Image

from trainer.show.pictures import canvas


def ink(picture):
    """Pixels that differ from the background."""
    return (picture != canvas.BACKGROUND).any(axis=-1)


def test_contents_of_a_size_find_room_below_the_heading():
    picture, top = canvas.ground(900, 100, "conv1", detail="23 x 23 x 64")

    assert picture.shape == (top + 100 + canvas.MARGIN, 900 + 2 * canvas.MARGIN, 3)
    assert ink(picture)[:top].any() and not ink(picture)[top:].any()


def test_a_long_title_is_broken_into_lines_within_the_picture():
    short, short_top = canvas.ground(300, 50, "evidence")
    long, long_top = canvas.ground(300, 50, "evidence for the label " * 9)

    assert long.shape[1] == short.shape[1]
    assert long_top > short_top and not ink(long)[long_top:].any()
    assert not ink(long)[:, -canvas.MARGIN :].any()


def test_a_long_text_keeps_both_ends_and_its_width():
    short = canvas.shorten("NORMAL2-IM-1234-0001-0002-with-more", 13, 120)

    assert short.startswith("NORMAL2") and short.endswith("more") and "..." in short
    assert 90 < canvas.length(short, 13) <= 120
    assert canvas.shorten("IM-1", 13, 120) == "IM-1"


def test_lines_are_broken_between_words_and_never_within_a_size():
    lines = canvas.wrap("Grad-CAM stage2_block1_out 23 x 23", 14, 150)

    assert lines == ["Grad-CAM", "stage2_block1_out", "23 x 23"]
    assert canvas.wrap("", 14, 150) == []
    long = canvas.wrap("of " + "layer_" * 30 + "out", 14, 150)
    assert long[1].endswith("out") and canvas.length(long[1], 14) <= 150


@pytest.mark.parametrize("anchor, edge", [(0.0, 0), (1.0, -1)])
def test_text_begins_or_ends_where_it_is_asked_to(anchor, edge):
    picture = canvas.empty(300, 40)

    end = canvas.write(picture, "HHHH", (150, 20), anchor=anchor)

    rows, columns = np.nonzero(ink(picture))
    assert abs(np.sort(columns)[edge] - 150) <= 3 and abs(end - columns.max()) <= 3
    assert abs((rows.min() + rows.max()) / 2 - 20) <= 3


def test_upright_text_is_higher_than_wide():
    picture = canvas.empty(100, 200)

    canvas.write_upright(picture, "PNEUMONIA", (50, 100), size=17)

    rows, columns = np.nonzero(ink(picture))
    assert np.ptp(rows) > 3 * np.ptp(columns)
    assert abs(rows.mean() - 100) < 5 and abs(columns.mean() - 50) < 5


def test_a_caption_stays_within_its_tile():
    picture = canvas.empty(300, 60)

    canvas.caption(picture, "PNEUMONIA\n" + "person1_bacteria_" * 20, (100, 10), width=100)

    rows, columns = np.nonzero(ink(picture))
    assert columns.min() >= 100 and columns.max() < 200
    assert rows.min() >= 10 and rows.max() < 10 + canvas.caption_height(["a\nb"])
    gaps = np.diff(np.unique(rows))
    assert (gaps > 1).sum() == 1  # two lines


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tile_is_smooth_and_keeps_its_grey_levels(channels):
    image = np.repeat(np.array([[40, 200]], np.uint8)[..., None], channels, axis=2)

    tile = canvas.tile(image, 100, 30)

    assert tile.shape == (30, 100, 3) and (tile[..., 0] == tile[..., 2]).all()
    assert tile[0, 5, 0] == 40 and tile[0, 95, 0] == 200
    assert (np.diff(tile[0, 20:80, 0].astype(int)) >= 0).all()
    assert len(np.unique(tile)) > 20


def test_png_gives_the_picture_back():
    picture = np.random.default_rng(0).integers(0, 256, (31, 47, 3)).astype(np.uint8)

    again = np.asarray(Image.open(io.BytesIO(canvas.png(picture))))
    part = np.asarray(Image.open(io.BytesIO(canvas.png(picture[::2, 3:9]))))

    np.testing.assert_array_equal(again, picture)
    np.testing.assert_array_equal(part, picture[::2, 3:9])
