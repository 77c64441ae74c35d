"""Small sheets for TensorBoard, which shows a picture some 350 pixels wide until it is opened."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.show.pictures import canvas

# Twice as large as they are shown, so that they are sharp on any screen.
TILE = 176
COLUMNS = 4
TITLE_SIZE, LABEL_SIZE = 30, 24
EDGE = 12


class TileRow(NamedTuple):
    """A label, and tiles [h, w] or [h, w, 1|3] uint8, of which the first `COLUMNS` are shown."""

    label: str
    tiles: Sequence[np.ndarray] | np.ndarray


def thumbnail(title: str, rows: Sequence[TileRow]) -> np.ndarray:
    """Returns rows of large tiles below a title, each below its label.

    Args:
      title: of the picture.
      rows: at least one; one without tiles has its label alone.

    Returns:
      [H, W, 3] uint8, as wide as `COLUMNS` tiles.
    """
    width = COLUMNS * (TILE + canvas.GAP) - canvas.GAP
    heights = [_height(row) for row in rows]
    line = TITLE_SIZE + canvas.GAP
    picture = canvas.empty(width + 2 * EDGE, EDGE + line + sum(heights))
    texts = [(title, TITLE_SIZE, canvas.TEXT, EDGE + line // 2)]
    top = EDGE + line
    for row, height in zip(rows, heights, strict=True):
        texts.append((row.label, LABEL_SIZE, canvas.MUTED, top + LABEL_SIZE // 2))
        for column, image in enumerate(row.tiles[:COLUMNS]):
            x, y = EDGE + column * (TILE + canvas.GAP), top + LABEL_SIZE + canvas.GAP
            side = _tile_height(image)
            picture[y : y + side, x : x + TILE] = canvas.tile(image, TILE, side)
        top += height
    for text, size, colour, middle in texts:
        short = canvas.shorten(text, size, width)
        canvas.write(picture, short, (EDGE, middle), size=size, colour=colour)
    return picture


def _height(row: TileRow) -> int:
    """Returns the height of a row with its label and the gap to the next."""
    tallest = max((_tile_height(tile) for tile in row.tiles[:COLUMNS]), default=0)
    return LABEL_SIZE + canvas.GAP + tallest + EDGE


def _tile_height(image: np.ndarray) -> int:
    return max(1, round(TILE * image.shape[0] / image.shape[1]))
