"""Behaviour of the colour maps and of the bar that explains one."""

import matplotlib
import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table


def test_the_colours_are_those_of_matplotlib():
    np.testing.assert_array_equal(table("grey")[[0, 128, 255]], [[0] * 3, [128] * 3, [255] * 3])
    middle = np.multiply(matplotlib.colormaps["viridis"](128)[:3], 255)
    np.testing.assert_allclose(table("viridis")[128], middle, atol=1)
    assert (table("hot")[0] < 12).all() or table("hot")[0, 1] == 0


def test_an_unknown_colour_map_is_refused():
    with pytest.raises(ValueError, match="'jet' is not a colour map: give one of grey, viridis"):
        table("jet")


def test_the_bar_runs_from_the_low_word_to_the_high_one():
    picture = canvas.empty(400, 30)

    end = colour_bar(picture, table("viridis"), ("none", "most"), left=10, top=6)

    row = picture[15]
    dark = np.flatnonzero((row == table("viridis")[0]).all(axis=-1))
    bright = np.flatnonzero((row == table("viridis")[255]).all(axis=-1))
    assert len(dark) and len(bright) and dark.max() < bright.min()
    for side in (picture[:, 10 : dark.min()], picture[:, bright.max() + 1 : end]):
        assert (side != canvas.BACKGROUND).any()
    assert (picture[:, end:] == canvas.BACKGROUND).all()
