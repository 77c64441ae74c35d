"""Colour maps as tables of 256 colours, and the bar that explains one."""

import functools

import matplotlib
import numpy as np

from trainer.show.pictures.canvas import LINE, MUTED, write

BAR = (160, 12)  # width and height in pixels
_MATPLOTLIB = {"grey": "gray", "viridis": "viridis", "hot": "hot"}


@functools.cache
def table(name: str) -> np.ndarray:
    """The colours of a map from its low end to its high end.

    Args:
      name: "grey", "viridis" or "hot" (hot iron, as in nuclear medicine).

    Returns:
      [256, 3] uint8, not to be written to.

    Raises:
      ValueError: another name.
    """
    if name not in _MATPLOTLIB:
        raise ValueError(f"{name!r} is no colour map; there are {', '.join(_MATPLOTLIB)}.")
    colours = matplotlib.colormaps[_MATPLOTLIB[name]](np.arange(256), bytes=True)[:, :3]
    colours = np.ascontiguousarray(colours)
    colours.setflags(write=False)
    return colours


def colour_bar(
    picture: np.ndarray, colours: np.ndarray, low: str, high: str, left: int, top: int
) -> int:
    """Draws colours from left to right between two words, as high as a line of a caption.

    Args:
      picture: [H, W, 3] uint8, changed in place.
      colours: [256, 3] uint8.
      low: the word in front.
      high: the word behind.
      left: column at which the word in front begins.
      top: row at which the line begins.

    Returns:
      The column at which the word behind ends.
    """
    width, height = BAR
    middle = top + LINE // 2
    left = write(picture, low, left, middle, colour=MUTED) + 8
    place = picture[middle - height // 2 : middle + height // 2, left : left + width]
    place[:] = colours[np.linspace(0, 255, width).astype(int)][: place.shape[1]]
    return write(picture, high, left + width + 8, middle, colour=MUTED)
