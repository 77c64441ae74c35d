"""Sheets of radiographs: examples of each class, and augmented batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.show.pictures import canvas

LABEL_WIDTH = 34
LABEL_SIZE = 17
COLUMNS = 8


class Row(NamedTuple):
    """One row of a sheet: its label, its images [h, w, 1|3] uint8, and a caption for each."""

    label: str
    images: np.ndarray
    captions: Sequence[str] = ()


def sample_sheet(
    images: np.ndarray,
    captions: Sequence[str],
    class_names: Sequence[str],
    labels: Sequence[int] | np.ndarray | None = None,
    title: str = "Sample radiographs",
) -> np.ndarray:
    """Examples of each class, a row each, the class name in front and a caption below each.

    Args:
      images: [n, H, W, 1|3] uint8.
      captions: n short names of patients or files; cut in the middle where too long.
      class_names: the classes, from the top.
      labels: n class numbers; without them each class has as many images, in order.
      title: heading of the sheet.

    Returns:
      [h, w, 3] uint8.

    Raises:
      ValueError: there are no images, captions or labels are missing, or, without labels, the
        images do not divide evenly among the classes.
    """
    if labels is None:
        labels = np.repeat(np.arange(len(class_names)), len(images) // len(class_names))
    if not len(images) or not len(images) == len(captions) == len(labels):
        raise ValueError(
            f"{len(images)} images, {len(captions)} captions and {len(labels)} labels do not make "
            f"a sheet of {len(class_names)} classes."
        )
    rows = []
    for number, name in enumerate(class_names):
        chosen = np.flatnonzero(np.asarray(labels) == number)
        rows.append(Row(name, images[chosen], [captions[index] for index in chosen.tolist()]))
    return _sheet(title, rows)


def augmented_batch(
    images: np.ndarray,
    originals: np.ndarray | None = None,
    title: str = "Augmented training images",
) -> np.ndarray:
    """The first 16 images of an augmented batch, each below its original where given.

    Args:
      images: [n, H, W, 1|3] float, 0..1; values outside are clipped.
      originals: like `images`, the same examples before augmentation.
      title: heading of the grid.

    Returns:
      [h, w, 3] uint8.

    Raises:
      ValueError: there are no images, or as many originals as images are not given.
    """
    if not len(images) or (originals is not None and len(originals) != len(images)):
        raise ValueError("An augmented batch needs images, and an original for each or for none.")
    rows = []
    for start in range(0, min(len(images), 2 * COLUMNS), COLUMNS):
        part = slice(start, start + COLUMNS)
        if originals is not None:
            rows.append(Row("original", _to_uint8(originals[part])))
        rows.append(Row("augmented", _to_uint8(images[part])))
    return _sheet(title, rows)


def _sheet(title: str, rows: Sequence[Row]) -> np.ndarray:
    """Rows of images below a title, each behind its label."""
    columns = max(len(row.images) for row in rows)
    available = canvas.MAX_WIDTH - 2 * canvas.MARGIN - LABEL_WIDTH + canvas.GAP
    width = available // max(columns, COLUMNS) - canvas.GAP
    height = canvas.tile_height(rows[0].images, width)
    below = max(canvas.caption_height(row.captions) for row in rows)
    pitch_x, pitch_y = width + canvas.GAP, height + below + canvas.GAP

    content = LABEL_WIDTH + columns * pitch_x - canvas.GAP
    picture, top = canvas.ground(content, len(rows) * pitch_y - canvas.GAP, title)
    for index, row in enumerate(rows):
        y = top + index * pitch_y
        label = canvas.shorten(row.label, LABEL_SIZE, height)
        centre = canvas.MARGIN + LABEL_WIDTH // 2 - 3
        canvas.write_upright(picture, label, centre, y + height // 2, LABEL_SIZE)
        for column, image in enumerate(row.images):
            x = canvas.MARGIN + LABEL_WIDTH + column * pitch_x
            picture[y : y + height, x : x + width] = canvas.tile(image, width, height)
            if row.captions:
                canvas.caption(picture, row.captions[column], x, y + height, width)
    return picture


def _to_uint8(images: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
