"""The dark ground of every picture: its heading, its captions, its tiles, its file."""

import functools
import re
from collections.abc import Iterable

import imagecodecs
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAX_WIDTH = 1400
BACKGROUND = (16, 19, 24)
TEXT = (236, 239, 244)
MUTED = (158, 168, 182)
MARGIN = 20
GAP = 8
LINE = 18  # height of a line of a caption
TITLE_SIZE, DETAIL_SIZE, CAPTION_SIZE = 20, 14, 13
MIN_WIDTH = 620  # of the contents: room for a heading and a legend


def ground(width: int, height: int, title: str, detail: str = "") -> tuple[np.ndarray, int]:
    """An empty picture for contents of a size below a heading.

    Args:
      width: of the contents, in pixels.
      height: of the contents, in pixels.
      title: the heading; broken into lines where it is longer than the contents are wide.
      detail: a smaller text below it.

    Returns:
      [H, W, 3] uint8, for contents at least `MIN_WIDTH` wide, and the row at which the contents
      begin; their first column is `MARGIN`.
    """
    width = max(width, MIN_WIDTH)
    lines = [(line, TITLE_SIZE, TEXT) for line in wrap(title, TITLE_SIZE, width)]
    lines += [(line, DETAIL_SIZE, MUTED) for line in wrap(detail, DETAIL_SIZE, width)]
    top = MARGIN // 2 + sum(size + GAP for _, size, _ in lines) + GAP
    picture = empty(width + 2 * MARGIN, top + height + MARGIN)
    row = MARGIN // 2
    for line, size, colour in lines:
        write(picture, line, MARGIN, row + (size + GAP) // 2, size, colour)
        row += size + GAP
    return picture, top


def empty(width: int, height: int) -> np.ndarray:
    """Nothing but the background, [height, width, 3] uint8."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[0] = BACKGROUND
    picture[1:] = picture[0]  # whole rows are copied ten times as fast as single pixels
    return picture


def write(
    picture: np.ndarray,
    text: str,
    x: int,
    middle: int,
    size: int = CAPTION_SIZE,
    colour: tuple[int, int, int] = TEXT,
    anchor: float = 0.0,
) -> int:
    """Writes one line of text into a picture; what lies outside is cut off.

    Args:
      picture: [H, W, 3] uint8, changed in place.
      text: one line.
      x: column of the text's left end, its middle or its right end.
      middle: row of the middle of the line.
      size: of the font in pixels.
      colour: red, green, blue.
      anchor: what of the text lies at `x`: 0 its left end, 0.5 its middle, 1 its right end.

    Returns:
      The column at which the text ends.
    """
    ink = _ink(text, size)
    left = x - round(anchor * ink.shape[1])
    _blend(picture, ink, left, middle - ink.shape[0] // 2, colour)
    return left + ink.shape[1]


def write_upright(picture: np.ndarray, text: str, centre: int, middle: int, size: int) -> None:
    """Writes one line of text that runs upwards around a place of a picture."""
    ink = np.rot90(_ink(text, size))
    _blend(picture, ink, centre - ink.shape[1] // 2, middle - ink.shape[0] // 2, TEXT)


def caption(
    picture: np.ndarray,
    text: str,
    left: int,
    top: int,
    width: int,
    colour: tuple[int, int, int] = MUTED,
) -> None:
    """Writes lines, separated by line breaks, centred on a tile of this width.

    A line that is wider than the tile is cut in its middle.
    """
    for number, line in enumerate(_lines(text)):
        short = shorten(line, CAPTION_SIZE, width - GAP)
        middle = top + number * LINE + LINE // 2
        write(picture, short, left + width // 2, middle, colour=colour, anchor=0.5)


def caption_height(captions: Iterable[str]) -> int:
    """Pixels that the highest of some captions takes."""
    return max((len(_lines(text)) for text in captions), default=0) * LINE


@functools.lru_cache(4096)
def length(text: str, size: int) -> int:
    """Pixels that one line of text takes from left to right."""
    return int(np.ceil(_font(size).getlength(text)))


@functools.lru_cache(4096)
def shorten(text: str, size: int, width: int) -> str:
    """`text`, cut in the middle to fit: both ends tell files of one series apart."""
    if length(text, size) <= width:
        return text
    least, most = 1, len(text)
    while most - least > 1:
        kept = (least + most) // 2
        if length(_cut(text, kept), size) <= width:
            least = kept
        else:
            most = kept
    return _cut(text, least)


def wrap(text: str, size: int, width: int) -> list[str]:
    """`text` broken between words into lines of at most a width; longer words are shortened.

    A size such as "3 x 3" counts as one word.
    """
    lines: list[str] = []
    for word in re.findall(r"\d+(?: x \d+)+\S*|\S+", text):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(shorten(word, size, width))
    return lines


def tile(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """A radiograph in the size of a tile, smooth between its pixels and no brighter than they.

    Args:
      image: [h, w, 1|3] or [h, w] uint8.
      width: in pixels.
      height: in pixels.

    Returns:
      [height, width, 3] uint8.
    """
    image = image.squeeze(-1) if image.ndim == 3 and image.shape[-1] == 1 else image
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    return resized if resized.ndim == 3 else np.repeat(resized[..., None], 3, axis=2)


def tile_height(images: np.ndarray, width: int) -> int:
    """Height in pixels of tiles of a width for images [n, H, W, C]."""
    return max(1, round(width * images.shape[1] / images.shape[2]))


def png(picture: np.ndarray) -> bytes:
    """A picture [H, W, 3] uint8 as a PNG file, written for speed more than for size."""
    # Rows that repeat the one above are frequent; Pillow takes twice as long.
    up = imagecodecs.PNG.FILTER.UP
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), level=1, filter=up))


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _cut(text: str, kept: int) -> str:
    return text[: kept - kept // 2] + "..." + text[len(text) - kept // 2 :]


def _blend(
    picture: np.ndarray, ink: np.ndarray, left: int, top: int, colour: tuple[int, int, int]
) -> None:
    """Lays a colour over a picture where there is ink, 0..255."""
    ink = ink[max(0, -top) :, max(0, -left) :]
    top, left = max(0, top), max(0, left)
    place = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
    cover = ink[: place.shape[0], : place.shape[1], None].astype(np.int32)
    place[:] = place + (np.asarray(colour) - place) * cover // 255


@functools.lru_cache(4096)
def _ink(text: str, size: int) -> np.ndarray:
    """How much of each pixel one line of text covers: [h, w] uint8, as high for any text."""
    font = _font(size)
    height = sum(font.getmetrics())
    line = Image.new("L", (max(1, length(text, size)), height))
    if text:
        ImageDraw.Draw(line).text((0, 0), text, 255, font)
    return np.asarray(line)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it is where a size is asked for
    return font
