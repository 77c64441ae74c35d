"""Behaviour of the sheets: which image stands where, and under which name."""

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.sheet import LABEL_WIDTH, augmented_batch, sample_sheet


def shades(count, size=24, channels=1):
    """Images of one shade each, all different, so that a tile tells which image it is."""
    levels = np.linspace(60, 240, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, channels)).copy()


def places(picture, level):
    """Rows and columns of the pixels of exactly this gray level."""
    return np.nonzero((picture == level).all(axis=-1))


def changed_runs(flags):
    """Starts of the runs of True."""
    return np.flatnonzero(np.diff(flags.astype(int), prepend=0) == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sample_sheet_shows_eight_normal_above_eight_pneumonia(channels):
    images = shades(16, channels=channels)

    sheet = sample_sheet(images, ["x"] * 16, ["NORMAL", "PNEUMONIA"])

    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[1] <= canvas.MAX_WIDTH
    centres = [[axis.mean() for axis in places(sheet, image[0, 0, 0])] for image in images]
    rows, columns = np.array(centres).reshape(2, 8, 2).transpose(2, 0, 1)
    assert rows[0].max() < rows[1].min()
    assert (np.diff(columns, axis=1) > 100).all()


def test_the_sample_sheet_names_the_classes_and_the_images():
    images = np.full((16, 24, 24, 1), canvas.BACKGROUND[0], np.uint8)
    blank = [" "] * 16
    none = sample_sheet(images, blank, ["", ""], title="")
    classes = sample_sheet(images, blank, ["NORMAL", "PNEUMONIA"], title="")
    captions = sample_sheet(images, ["person1"] * 16, ["", ""], title="")

    in_front = slice(0, canvas.MARGIN + LABEL_WIDTH)
    assert (classes != none)[:, in_front].any() and not (classes != none)[:, in_front.stop :].any()
    assert not (captions != none)[:, in_front].any()
    assert len(changed_runs((captions != none).any(axis=(1, 2)))) == 2


def test_long_captions_leave_a_gap_to_the_next_tile():
    images = np.full((8, 24, 24, 1), canvas.BACKGROUND[0], np.uint8)

    none = sample_sheet(images, [" "] * 8, ["NORMAL"], title="")
    long = sample_sheet(images, ["person1_bacteria_" * 20] * 8, ["NORMAL"], title="")

    assert len(changed_runs(smeared((long != none).any(axis=(0, 2)), 5))) == 8


def smeared(flags, width):
    """True also between two True that are closer than `width`."""
    return np.convolve(flags, np.ones(width), "same") > 0


def test_images_that_are_not_square_keep_their_shape():
    images = shades(2)[:, :12]

    sheet = sample_sheet(images, ["x"] * 2, ["NORMAL", "PNEUMONIA"])

    rows, columns = places(sheet, images[1, 0, 0, 0])
    np.testing.assert_allclose(np.ptp(columns) / np.ptp(rows), 2, atol=0.1)


def test_labels_place_the_images_of_uneven_classes():
    images = shades(5)

    sheet = sample_sheet(images, ["x"] * 5, ["NORMAL", "PNEUMONIA"], [1, 0, 1, 1, 1])

    rows = [places(sheet, image[0, 0, 0])[0].mean() for image in images]
    assert rows[1] < rows[0] == rows[2] == rows[3] == rows[4]


@pytest.mark.parametrize("count", [0, 15])
def test_uneven_classes_without_labels_are_refused(count):
    with pytest.raises(ValueError, match="do not make a sheet"):
        sample_sheet(shades(count), ["x"] * count, ["NORMAL", "PNEUMONIA"])


def test_the_augmented_batch_is_cut_at_sixteen():
    images = shades(20) / 255.0

    picture = augmented_batch(images)

    shown = [len(places(picture, round(255 * image[0, 0, 0]))[0]) > 1000 for image in images]
    assert shown == [True] * 16 + [False] * 4


def test_originals_stand_above_their_augmented_images():
    both = shades(6) / 255.0

    picture = augmented_batch(both[3:], originals=both[:3])

    centres = [[a.mean() for a in places(picture, round(255 * image[0, 0, 0]))] for image in both]
    rows, columns = np.array(centres).T
    assert (rows[:3] < rows[3:]).all()
    np.testing.assert_allclose(columns[:3], columns[3:])


def test_values_outside_the_range_are_clipped_not_wrapped():
    images = np.stack([np.full((8, 8, 1), 1.2), np.full((8, 8, 1), -0.2)])

    picture = augmented_batch(images)

    white, black = places(picture, 255), places(picture, 0)
    assert len(white[0]) > 1000 and len(black[0]) > 1000
    assert white[1].mean() < black[1].mean()


@pytest.mark.parametrize("originals", [None, np.zeros((2, 8, 8, 1))])
def test_an_augmented_batch_without_its_images_is_refused(originals):
    images = np.zeros((0 if originals is None else 3, 8, 8, 1))

    with pytest.raises(ValueError, match="an original for each"):
        augmented_batch(images, originals)
