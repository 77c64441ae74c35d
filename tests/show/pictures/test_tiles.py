"""The layout of a sheet travels inside its PNG file."""

import io

import numpy as np
from PIL import Image

from trainer.show.pictures import canvas
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup, read_groups


def test_a_png_holds_its_tiles_and_is_read_as_any_other():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    groups = [TileGroup("肺炎", [Tile("a\nb", (1, 2, 3, 4))]), TileGroup("", [])]

    file = Sheet(pixels, groups).png()

    assert read_groups(file) == groups
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), pixels)


def test_a_png_without_a_layout_has_no_groups():
    assert read_groups(canvas.png(np.zeros((9, 9, 3), np.uint8))) == []
