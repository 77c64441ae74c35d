"""Colour maps as tables of 256 colours, and colour bars."""

import functools

import matplotlib
import numpy as np

from trainer.show.pictures.canvas import LINE, MUTED, write

BAR = (160, 12)  # width and height in pixels
_MATPLOTLIB = {"grey": "gray", "viridis": "viridis", "hot": "hot"}


@functools.cache
def table(name: str) -> np.ndarray:
    """Returns the colours of a map from its low end to its high end.

    Args:
      name: "grey", "viridis" or "hot" (hot iron, as in nuclear medicine).

    Returns:
      [256, 3] uint8, read-only.

    Raises:
      ValueError: another name.
    """
    if name not in _MATPLOTLIB:
        raise ValueError(f"{name!r} is not a colour map: give one of {', '.join(_MATPLOTLIB)}.")
    colours = matplotlib.colormaps[_MATPLOTLIB[name]](np.arange(256), bytes=True)[:, :3]
    colours = np.ascontiguousarray(colours)
    colours.setflags(write=False)
    return colours


def colour_bar(
    picture: np.ndarray, colours: np.ndarray, words: tuple[str, str], *, left: int, top: int
) -> int:
    """Draws colours from left to right between two words, as high as a line of a caption.

    Args:
      picture: [H, W, 3] uint8, changed in place.
      colours: [256, 3] uint8.
      words: on the left and on the right.
      left: column at which the left word begins.
      top: row at which the line begins.

    Returns:
      The column at which the right word ends.
    """
    (low, high), (width, height) = words, BAR
    middle = top + LINE // 2
    left = write(picture, low, (left, middle), colour=MUTED) + 8
    place = picture[middle - height // 2 : middle + height // 2, left : left + width]
    place[:] = colours[np.linspace(0, 255, width).astype(int)][: place.shape[1]]
    return write(picture, high, (left + width + 8, middle), colour=MUTED)
