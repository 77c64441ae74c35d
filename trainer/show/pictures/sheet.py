"""Sheets of radiographs: examples of each class, and augmented batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.show.pictures import canvas
from trainer.show.pictures.thumbnail import TileRow, thumbnail
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup

LABEL_WIDTH = 34
LABEL_SIZE = 17
COLUMNS = 8


class SheetRow(NamedTuple):
    """One row of a sheet: its label, its images [h, w, 1|3] uint8, and a caption for each."""

    label: str
    images: np.ndarray
    captions: Sequence[str] = ()


def sample_sheet(images: np.ndarray, captions: Sequence[str], labels: Sequence[str]) -> Sheet:
    """Returns examples of each class in a row with its name, a caption below each.

    Args:
      images: [n, H, W, 1|3] uint8, n > 0.
      captions: n short names of patients or files; cut in the middle where too long.
      labels: n class names; rows are in order of their first image.

    Returns:
      A group of tiles for each class.
    """
    rows = []
    for label in dict.fromkeys(labels):
        numbers = [number for number, other in enumerate(labels) if other == label]
        rows.append(SheetRow(label, images[numbers], [captions[number] for number in numbers]))
    return _sheet("Sample radiographs", rows)


def augmented_batch(images: np.ndarray, originals: np.ndarray) -> Sheet:
    """Returns the first 16 images of an augmented batch, each below its original.

    Args:
      images: [n, H, W, 1|3] float, 0..1, n > 0; values outside are clipped.
      originals: like `images`, the same examples before augmentation.

    Returns:
      One group, in which each tile holds an original and the augmented image below it.
    """
    rows = []
    for start in range(0, min(len(images), 2 * COLUMNS), COLUMNS):
        part = slice(start, start + COLUMNS)
        rows.append(SheetRow("original", _to_uint8(originals[part])))
        rows.append(SheetRow("augmented", _to_uint8(images[part])))
    drawn = _sheet("Augmented training images", rows)
    pairs = [
        Tile("", (left, above, width, below + height - above))
        for originals_row, augmented_row in zip(drawn.groups[::2], drawn.groups[1::2], strict=True)
        for (_, (left, above, width, height)), (_, (_, below, _, _)) in zip(
            originals_row.tiles, augmented_row.tiles, strict=True
        )
    ]
    return Sheet(drawn.pixels, [TileGroup("", pairs)])


def sample_thumbnail(images: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Returns the first examples of each class; see `sample_sheet`."""
    tiles = {
        label: [i for i, other in zip(images, labels, strict=True) if other == label]
        for label in dict.fromkeys(labels)
    }
    return thumbnail("Sample radiographs", [TileRow(*row) for row in tiles.items()])


def augmented_thumbnail(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Returns the first images of an augmented batch below their originals."""
    rows = [TileRow("original", _to_uint8(originals)), TileRow("augmented", _to_uint8(images))]
    return thumbnail("Augmented training images", rows)


def _sheet(title: str, rows: Sequence[SheetRow]) -> Sheet:
    """Returns rows of images below a title, each with its label on the left."""
    columns = max(len(row.images) for row in rows)
    available = canvas.MAX_WIDTH - 2 * canvas.MARGIN - LABEL_WIDTH + canvas.GAP
    width = available // max(columns, COLUMNS) - canvas.GAP
    height = canvas.tile_height(rows[0].images, width)
    below = max(canvas.caption_height(row.captions) for row in rows)
    pitch_x, pitch_y = width + canvas.GAP, height + below + canvas.GAP

    content = LABEL_WIDTH + columns * pitch_x - canvas.GAP
    picture, top = canvas.ground(content, len(rows) * pitch_y - canvas.GAP, title)
    groups = []
    for index, row in enumerate(rows):
        groups.append(TileGroup(row.label, []))
        y = top + index * pitch_y
        label = canvas.shorten(row.label, LABEL_SIZE, height)
        centre = canvas.MARGIN + LABEL_WIDTH // 2 - 3
        canvas.write_upright(picture, label, (centre, y + height // 2), size=LABEL_SIZE)
        for column, image in enumerate(row.images):
            x = canvas.MARGIN + LABEL_WIDTH + column * pitch_x
            picture[y : y + height, x : x + width] = canvas.tile(image, width, height)
            caption = row.captions[column] if row.captions else ""
            canvas.caption(picture, caption, (x, y + height), width=width)
            groups[-1].tiles.append(Tile(caption, (x, y, width, height)))
    return Sheet(picture, groups)


def _to_uint8(images: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
