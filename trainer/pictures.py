"""Pictures for people: arrays in, labelled RGB pictures [H, W, 3] uint8 out."""

import functools
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAX_WIDTH = 1400
BACKGROUND = (16, 19, 24)
TEXT = (236, 239, 244)
MUTED = (158, 168, 182)
MARGIN = 20
GAP = 8
TITLE_HEIGHT = 44
CAPTION_HEIGHT = 24
LABEL_WIDTH = 34
COLUMNS = 8
MIN_TILE, MAX_TILE = 48, 128


class Row(NamedTuple):
    """One row of a sheet: its label, its images [h, w, 1|3] uint8, and a caption for each."""

    label: str
    images: np.ndarray
    captions: Sequence[str] = ()


def sample_sheet(
    images: np.ndarray,
    captions: Sequence[str],
    class_names: Sequence[str],
    labels: Sequence[int] | None = None,
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
        rows.append(Row(name, images[chosen], [captions[index] for index in chosen]))
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


def activation_montage(
    layer_name: str, maps: np.ndarray, captions: Sequence[str], max_channels: int = 64
) -> np.ndarray:
    """The channels of one layer, for each example a block of tiles, the blocks side by side.

    Both blocks show the same channels in the same order: those of highest standard deviation
    first. A tile runs from the channel's minimum (black) to its maximum (white) over all
    examples, so a channel can be compared between them; a constant channel is black.

    Args:
      layer_name: shown in the heading.
      maps: [n, h, w, c] float32, the layer's output for n examples; n = 2 fits `MAX_WIDTH`.
      captions: n captions, one above each block.
      max_channels: how many channels to show at most.

    Returns:
      [H, W, 3] uint8.
    """
    # A diverged run still gets its pictures.
    maps = np.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
    channels = most_active_channels(maps, max_channels)
    tiles = _normalise(maps[..., channels])
    width, height = _tile_size(maps.shape, len(channels))
    columns = _montage_columns(len(channels))
    pitch_x, pitch_y = width + GAP // 2, height + GAP // 2
    block_width = columns * pitch_x - GAP // 2
    block_height = -(-len(channels) // columns) * pitch_y - GAP // 2

    title = _montage_title(layer_name, maps.shape, len(channels))
    content = len(maps) * (block_width + MARGIN) - MARGIN
    picture, draw = _canvas(title, content, CAPTION_HEIGHT + block_height)
    for example, caption in enumerate(captions):
        left = MARGIN + example * (block_width + MARGIN)
        _caption(draw, caption, left, TITLE_HEIGHT, block_width, TEXT)
        for place, channel in enumerate(channels):
            row, column = divmod(place, columns)
            corner = (
                left + column * pitch_x,
                TITLE_HEIGHT + CAPTION_HEIGHT + row * pitch_y,
            )
            picture.paste(_resize(tiles[example, :, :, place], width, height), corner)
            _number(draw, channel, corner)
    return np.asarray(picture)


def most_active_channels(maps: np.ndarray, count: int) -> np.ndarray:
    """Channels of the highest standard deviation within an image, the mean over the examples.

    Args:
      maps: [n, h, w, c] float.
      count: how many at most.

    Returns:
      [min(count, c)] int, the most active first.
    """
    activity = maps.std(axis=(1, 2)).mean(axis=0)
    return np.argsort(-activity, kind="stable")[:count]


def png(picture: np.ndarray) -> bytes:
    """A picture [H, W, 3] uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _sheet(title: str, rows: Sequence[Row]) -> np.ndarray:
    """Rows of images below a title, each behind its label."""
    columns = max(len(row.images) for row in rows)
    available = MAX_WIDTH - 2 * MARGIN - LABEL_WIDTH + GAP
    width = available // max(columns, COLUMNS) - GAP
    height = round(width * rows[0].images.shape[1] / rows[0].images.shape[2])
    pitch_y = height + (CAPTION_HEIGHT if any(row.captions for row in rows) else 0) + GAP

    content = LABEL_WIDTH + columns * (width + GAP) - GAP
    picture, draw = _canvas(title, content, len(rows) * pitch_y - GAP)
    for index, row in enumerate(rows):
        top = TITLE_HEIGHT + index * pitch_y
        _upright_label(picture, row.label, top, height)
        for column, image in enumerate(row.images):
            left = MARGIN + LABEL_WIDTH + column * (width + GAP)
            picture.paste(_resize(image.squeeze(), width, height), (left, top))
            if row.captions:
                _caption(draw, row.captions[column], left, top + height, width, MUTED)
    return np.asarray(picture)


def _canvas(title: str, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture for contents of this size, with its title."""
    font = _font(20)
    width = max(width, round(font.getlength(title)))
    size = (width + 2 * MARGIN, TITLE_HEIGHT + height + MARGIN)
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, TITLE_HEIGHT / 2), title, TEXT, font, anchor="lm")
    return picture, draw


def _caption(
    draw: ImageDraw.ImageDraw, text: str, left: int, top: int, width: int, colour: tuple
) -> None:
    """One line of text centred on a tile or block."""
    font = _font(13)
    place = (left + width / 2, top + CAPTION_HEIGHT / 2 - 1)
    draw.text(place, _shorten(text, font, width - GAP), colour, font, anchor="mm")


def _upright_label(picture: Image.Image, text: str, top: int, height: int) -> None:
    """Text that runs upwards in front of a row."""
    label = Image.new("RGB", (height, LABEL_WIDTH), BACKGROUND)
    font = _font(17)
    place = (height / 2, LABEL_WIDTH / 2 - 3)
    ImageDraw.Draw(label).text(place, _shorten(text, font, height), TEXT, font, anchor="mm")
    picture.paste(label.transpose(Image.Transpose.ROTATE_90), (MARGIN, top))


def _number(draw: ImageDraw.ImageDraw, number: int, corner: tuple[int, int]) -> None:
    """A channel's number in the corner of its tile, readable on black and on white."""
    place = (corner[0] + 4, corner[1] + 2)
    draw.text(place, str(number), TEXT, _font(12), stroke_width=1, stroke_fill=BACKGROUND)


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, cut in the middle to fit: both ends tell files of one series apart."""
    kept = len(text)
    short = text
    while kept > 1 and font.getlength(short) > width:
        kept -= 1
        short = text[: kept - kept // 2] + "..." + text[len(text) - kept // 2 :]
    return short


def _montage_title(layer_name: str, shape: tuple[int, ...], shown: int) -> str:
    _, height, width, channels = shape
    count = f"{shown} of {channels} channels" if shown < channels else f"{channels} channels"
    return f"{layer_name}   {height} x {width} x {channels}   {count}, the most active first"


def _montage_columns(channels: int) -> int:
    """The smallest power of two that holds the channels in no more rows than columns."""
    columns = 1
    while columns * columns < channels:
        columns *= 2
    return columns


def _tile_size(shape: tuple[int, ...], channels: int) -> tuple[int, int]:
    """Width and height of a tile in pixels, as large as the blocks leave room for."""
    examples, height, width, _ = shape
    block = (MAX_WIDTH - MARGIN) // examples - MARGIN
    room = (block + GAP // 2) // _montage_columns(channels) - GAP // 2
    longest = min(max(room, MIN_TILE), MAX_TILE)
    scale = longest / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _normalise(maps: np.ndarray) -> np.ndarray:
    """Each channel of [n, h, w, c] from its minimum to its maximum over n, h, w: 0..255 uint8."""
    low = maps.min(axis=(0, 1, 2))
    span = maps.max(axis=(0, 1, 2)) - low
    return (255 * (maps - low) / np.where(span > 0, span, 1)).astype(np.uint8)


def _to_uint8(images: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def _resize(image: np.ndarray, width: int, height: int) -> Image.Image:
    """[h, w] or [h, w, 3] uint8 enlarged with visible pixels, or reduced smoothly."""
    rows, columns = image.shape[:2]
    # Enlarged by a whole number first, so that the pixels end up equally wide.
    times = max(1, -(-width // columns), -(-height // rows))
    enlarged = Image.fromarray(image).resize(
        (columns * times, rows * times), Image.Resampling.NEAREST
    )
    return enlarged.resize((width, height), Image.Resampling.BILINEAR)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)
