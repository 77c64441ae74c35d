"""Behaviour of the pictures: what they show, where, and how large they are."""

import io

import numpy as np
import pytest
from PIL import Image

from trainer import pictures


def shades(count, size=24, channels=1):
    """Images of one shade each, all different, so that a tile tells which image it is."""
    levels = np.linspace(60, 240, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, channels)).copy()


def places(picture, level):
    """Rows and columns of the pixels of exactly this gray level."""
    return np.nonzero((picture == level).all(axis=-1))


def ink(picture):
    """Pixels that differ from the background."""
    return (picture != pictures.BACKGROUND).any(axis=-1)


def is_picture(picture):
    return picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sample_sheet_shows_eight_normal_above_eight_pneumonia(channels):
    images = shades(16, channels=channels)

    sheet = pictures.sample_sheet(images, ["x"] * 16, ["NORMAL", "PNEUMONIA"])

    assert is_picture(sheet) and sheet.shape[1] <= pictures.MAX_WIDTH
    centres = [[axis.mean() for axis in places(sheet, image[0, 0, 0])] for image in images]
    rows, columns = np.array(centres).reshape(2, 8, 2).transpose(2, 0, 1)
    assert rows[0].max() < rows[1].min()
    assert (np.diff(columns, axis=1) > 100).all()


def test_the_sample_sheet_names_the_classes_and_the_images():
    images = np.full((16, 24, 24, 1), 0, np.uint8)
    images[:] = pictures.BACKGROUND[0]
    none = pictures.sample_sheet(images, [""] * 16, ["", ""], title="")
    classes = pictures.sample_sheet(images, [""] * 16, ["NORMAL", "PNEUMONIA"], title="")
    captions = pictures.sample_sheet(images, ["person1"] * 16, ["", ""], title="")

    in_front = slice(0, pictures.MARGIN + pictures.LABEL_WIDTH)
    assert (classes != none)[:, in_front].any() and not (classes != none)[:, in_front.stop :].any()
    assert not (captions != none)[:, in_front].any()
    assert len(changed_runs((captions != none).any(axis=(1, 2)))) == 2


def changed_runs(flags):
    """Starts of the runs of True."""
    return np.flatnonzero(np.diff(flags.astype(int), prepend=0) == 1)


def test_labels_place_the_images_of_uneven_classes():
    images = shades(5)

    sheet = pictures.sample_sheet(images, ["x"] * 5, ["NORMAL", "PNEUMONIA"], [1, 0, 1, 1, 1])

    rows = [places(sheet, image[0, 0, 0])[0].mean() for image in images]
    assert rows[1] < rows[0] == rows[2] == rows[3] == rows[4]


@pytest.mark.parametrize("count", [0, 15])
def test_uneven_classes_without_labels_are_refused(count):
    with pytest.raises(ValueError, match="do not make a sheet"):
        pictures.sample_sheet(shades(count), ["x"] * count, ["NORMAL", "PNEUMONIA"])


def test_a_long_caption_keeps_both_ends_and_its_width():
    font = pictures._font(13)

    short = pictures._shorten("NORMAL2-IM-1234-0001-0002-with-more", font, 120)

    assert short.startswith("NORMAL2") and short.endswith("more") and "..." in short
    assert font.getlength(short) <= 120
    assert pictures._shorten("IM-1", font, 120) == "IM-1"


def test_the_augmented_batch_is_cut_at_sixteen():
    images = shades(20) / 255.0

    picture = pictures.augmented_batch(images)

    shown = [len(places(picture, round(255 * image[0, 0, 0]))[0]) > 1000 for image in images]
    assert shown == [True] * 16 + [False] * 4


def test_originals_stand_above_their_augmented_images():
    both = shades(6) / 255.0

    picture = pictures.augmented_batch(both[3:], originals=both[:3])

    centres = [[a.mean() for a in places(picture, round(255 * image[0, 0, 0]))] for image in both]
    rows, columns = np.array(centres).T
    assert (rows[:3] < rows[3:]).all()
    np.testing.assert_allclose(columns[:3], columns[3:])


def test_values_outside_the_range_are_clipped_not_wrapped():
    images = np.stack([np.full((8, 8, 1), 1.2), np.full((8, 8, 1), -0.2)])

    picture = pictures.augmented_batch(images)

    white, black = places(picture, 255), places(picture, 0)
    assert len(white[0]) > 1000 and len(black[0]) > 1000
    assert white[1].mean() < black[1].mean()


@pytest.mark.parametrize("originals", [None, np.zeros((2, 8, 8, 1))])
def test_an_augmented_batch_without_its_images_is_refused(originals):
    images = np.zeros((0 if originals is None else 3, 8, 8, 1))

    with pytest.raises(ValueError, match="an original for each"):
        pictures.augmented_batch(images, originals)


def ramps(channels, size=8):
    """Maps of 2 examples, each channel a ramp of a different height."""
    heights = np.arange(channels, dtype=np.float32)
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    return np.broadcast_to(ramp[None, None, :, None] * heights, (2, size, size, channels)).astype(
        np.float32
    )


def test_the_most_active_channels_come_first():
    maps = ramps(4)[..., [2, 0, 3, 1]]

    assert pictures.most_active_channels(maps, 3).tolist() == [2, 0, 3]


def test_activity_is_the_mean_over_the_examples():
    maps = np.zeros((2, 8, 8, 2), np.float32)
    maps[0, :4, :, 0] = 3.0
    maps[:, :4, :, 1] = 2.0

    assert pictures.most_active_channels(maps, 2).tolist() == [1, 0]


def test_a_montage_shows_the_same_channel_of_both_examples_on_one_scale():
    maps = np.zeros((2, 8, 8, 1), np.float32)
    maps[0, :4] = 2.0
    maps[1, :4] = 1.0

    picture = pictures.activation_montage("conv", maps, ["", ""])

    full, half = places(picture, 255), places(picture, 127)
    assert len(full[0]) > 1000 and len(half[0]) > 1000
    assert full[1].max() < half[1].min()
    assert full[0].max() == half[0].max()


@pytest.mark.parametrize("shape", [(224, 224, 16), (56, 56, 64), (7, 7, 512), (1, 1, 8), (7, 5, 3)])
def test_a_montage_fits_the_width_and_has_readable_tiles(shape):
    maps = np.random.default_rng(0).random((2, *shape), dtype=np.float32)

    picture = pictures.activation_montage("conv", maps, ["NORMAL", "PNEUMONIA"])

    assert is_picture(picture) and picture.shape[1] <= pictures.MAX_WIDTH
    sides = pictures._tile_size(maps.shape, min(shape[2], 64))
    assert pictures.MIN_TILE <= max(sides) <= pictures.MAX_TILE
    assert picture.std() > 10


def test_a_montage_is_cut_at_the_largest_number_of_channels():
    maps = np.random.default_rng(0).random((2, 8, 8, 128), dtype=np.float32)

    few = pictures.activation_montage("conv", maps, ["a", "b"], max_channels=16)
    many = pictures.activation_montage("conv", maps, ["a", "b"], max_channels=64)

    assert pictures._tile_size(maps.shape, 64)[0] * 8 < many.shape[1] / 2
    assert ink(few).sum() != ink(many).sum()
    assert "16 of 128 channels" in pictures._montage_title("conv", maps.shape, 16)
    assert "of" not in pictures._montage_title("conv", maps.shape, 128).split("128 channels")[0]


def test_a_dead_channel_and_one_that_is_not_finite_do_not_spoil_the_others():
    maps = ramps(3)
    maps[..., 0] = 5.0
    maps[..., 1] = np.nan

    with np.errstate(all="raise"):
        picture = pictures.activation_montage("conv", maps, ["", ""])

    assert len(places(picture, 255)[0]) > 100


def test_enlarged_pixels_are_equally_wide():
    image = np.zeros((1, 7), np.uint8)
    image[:, ::2] = 255

    row = np.asarray(pictures._resize(image, 80, 12))[0].astype(float)

    np.testing.assert_allclose(row.sum() / 255, 80 * 4 / 7, atol=0.1)
    assert set(np.diff(np.flatnonzero(np.diff(row > 127)))) <= {11, 12}


def test_png_gives_the_picture_back():
    picture = pictures.activation_montage("conv", ramps(4), ["NORMAL", "PNEUMONIA"])

    again = np.asarray(Image.open(io.BytesIO(pictures.png(picture))))

    np.testing.assert_array_equal(again, picture)
