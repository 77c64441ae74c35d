"""Sheets of radiographs: which image is where, and under which name."""

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.sheet import LABEL_WIDTH
from trainer.show.pictures.sheet import augmented_batch as drawn_batch
from trainer.show.pictures.sheet import sample_sheet as drawn_samples


def sample_sheet(*arguments):
    return drawn_samples(*arguments).pixels


def augmented_batch(*arguments):
    return drawn_batch(*arguments).pixels


def shades(count, size=24, channels=1):
    """Images of one shade each, all different, so that a tile reveals which image it is."""
    levels = np.linspace(60, 240, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, channels)).copy()


def places(picture, level):
    """Rows and columns of the pixels of exactly this grey level."""
    return np.nonzero((picture == level).all(axis=-1))


def count_runs(flags):
    return np.count_nonzero(np.diff(flags.astype(int), prepend=0) == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_class_is_a_row(channels):
    images = shades(16, channels=channels)
    labels = ["NORMAL"] * 8 + ["PNEUMONIA"] * 8

    sheet = sample_sheet(images, ["x"] * 16, labels)

    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[1] <= canvas.MAX_WIDTH
    centres = [[axis.mean() for axis in places(sheet, image[0, 0, 0])] for image in images]
    rows, columns = np.array(centres).reshape(2, 8, 2).transpose(2, 0, 1)
    assert rows[0].max() < rows[1].min()
    assert (np.diff(columns, axis=1) > 100).all()


def test_rows_of_uneven_classes_are_in_order_of_their_first_image():
    images = shades(5)[:, :12]

    sheet = sample_sheet(images, ["x"] * 5, ["b", "a", "b", "b", "b"])

    rows = [places(sheet, image[0, 0, 0])[0].mean() for image in images]
    assert rows[1] > rows[0] == rows[2] == rows[3] == rows[4]
    rows, columns = places(sheet, images[1, 0, 0, 0])
    np.testing.assert_allclose(np.ptp(columns) / np.ptp(rows), 2, atol=0.1)  # not square


def test_names_of_classes_are_on_the_left_and_captions_keep_a_gap():
    images = np.full((8, 24, 24, 1), canvas.BACKGROUND[0], np.uint8)
    empty = sample_sheet(images, [" "] * 8, [" "] * 8)
    labelled = sample_sheet(images, [" "] * 8, ["NORMAL"] * 8)
    captioned = sample_sheet(images, ["person1_bacteria_" * 20] * 8, [" "] * 8)

    left = slice(0, canvas.MARGIN + LABEL_WIDTH)
    changed = labelled != empty
    assert changed[:, left].any() and not changed[:, left.stop :].any()
    assert not (captioned != empty)[:, left].any()
    columns = (captioned != empty).any(axis=(0, 2))
    smeared = np.convolve(columns, np.ones(5), "same") > 0  # over the gaps between letters
    assert count_runs(smeared) == 8


def test_at_most_sixteen_augmented_images_are_below_their_originals():
    images = shades(40) / 255.0
    originals, augmented = images[:20], images[20:]

    picture = augmented_batch(augmented, originals)

    found = [places(picture, round(255 * image[0, 0, 0])) for image in images]
    assert [len(rows) > 1000 for rows, _ in found] == 2 * ([True] * 16 + [False] * 4)
    first = found[:8] + found[20:28]
    centres = np.array([[rows.mean(), columns.mean()] for rows, columns in first])
    above, below = centres.reshape(2, 8, 2)
    assert (above[:, 0] < below[:, 0]).all()
    np.testing.assert_allclose(above[:, 1], below[:, 1])


def test_values_outside_the_range_are_clipped_not_wrapped():
    images = np.stack([np.full((8, 8, 1), 1.2), np.full((8, 8, 1), -0.2)])

    picture = augmented_batch(images, np.full_like(images, 0.5))

    white, black = places(picture, 255), places(picture, 0)
    assert len(white[0]) > 1000 and len(black[0]) > 1000
    assert white[1].mean() < black[1].mean()


def test_a_class_is_a_group_and_an_augmented_image_shares_a_tile_with_its_original():
    images = shades(5)
    samples = drawn_samples(images, list("vwxyz"), ["b", "a", "b", "b", "b"])
    assert [(title, [tile.caption for tile in tiles]) for title, tiles in samples.groups] == [
        ("b", ["v", "x", "y", "z"]),
        ("a", ["w"]),
    ]
    batch = drawn_batch(shades(20) / 255.0, np.zeros((20, 24, 24, 1)))
    ((title, tiles),) = batch.groups
    assert title == "" and len(tiles) == 16
    for (_, (left, top, width, height)), image in zip(tiles, shades(20)[:16], strict=True):
        tile = batch.pixels[top : top + height, left : left + width]
        assert (tile[:width] == 0).all() and (tile[-width:] == image[0, 0, 0]).all()
