"""Galleries of the images that a network gets wrong."""

from collections.abc import Sequence

import numpy as np

from trainer.show.pictures import canvas
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup

LARGEST, SMALLEST = 200, 160  # widths of tiles
LABEL_SIZE = 16
LABEL_HEIGHT = 30


def error_gallery(rows: Sequence[tuple[str, np.ndarray, Sequence[str]]], title: str) -> Sheet:
    """Returns rows of images, each below the kind of error that it shows.

    Args:
      rows: for each a title, such as "false positives: NORMAL predicted as PNEUMONIA", images
        [k, H, W, 1] uint8 and k captions of up to two lines. A row without images says so.
      title: heading of the gallery.

    Returns:
      A group of tiles for each row.
    """
    columns = max((len(images) for _, images, _ in rows), default=0)
    room = (canvas.MAX_WIDTH - 2 * canvas.MARGIN + canvas.GAP) // max(columns, 1) - canvas.GAP
    width = min(max(room, SMALLEST), LARGEST)
    pitch = width + canvas.GAP
    content = columns * pitch - canvas.GAP
    heights = [LABEL_HEIGHT + _body(images, captions, width) for _, images, captions in rows]
    picture, y = canvas.ground(content, sum(heights), title)
    groups = []
    for (label, images, captions), step in zip(rows, heights, strict=True):
        groups.append(TileGroup(label, []))
        short = canvas.shorten(label, LABEL_SIZE, picture.shape[1] - 2 * canvas.MARGIN)
        canvas.write(picture, short, (canvas.MARGIN, y + LABEL_HEIGHT // 2), size=LABEL_SIZE)
        top = y + LABEL_HEIGHT
        if not len(images):
            place = (canvas.MARGIN, top + canvas.LINE // 2)
            size, colour = canvas.DETAIL_SIZE, canvas.MUTED
            canvas.write(picture, "no such error", place, size=size, colour=colour)
        for column, (image, caption) in enumerate(zip(images, captions, strict=True)):
            x = canvas.MARGIN + column * pitch
            tile = canvas.tile(image, width, canvas.tile_height(images, width))
            picture[top : top + tile.shape[0], x : x + width] = tile
            canvas.caption(picture, caption, (x, top + tile.shape[0]), width=width)
            groups[-1].tiles.append(Tile(caption, (x, top, width, tile.shape[0])))
        y += step
    return Sheet(picture, groups)


def _body(images: np.ndarray, captions: Sequence[str], width: int) -> int:
    """Returns the height of a row below its title, with the gap to the next."""
    if not len(images):
        return canvas.LINE + canvas.GAP
    return canvas.tile_height(images, width) + canvas.caption_height(captions) + canvas.GAP
