"""The dark canvas of every picture: headings, captions, tiles, PNG."""

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


def ground(width: int, height: int, title: str, *, detail: str = "") -> tuple[np.ndarray, int]:
    """Returns an empty picture with a heading, and room for contents below it.

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
        write(picture, line, (MARGIN, row + (size + GAP) // 2), size=size, colour=colour)
        row += size + GAP
    return picture, top


def empty(width: int, height: int) -> np.ndarray:
    """Returns a picture of background alone, [height, width, 3] uint8."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[0] = BACKGROUND
    picture[1:] = picture[0]  # whole rows are copied ten times as fast as single pixels
    return picture


def write(
    picture: np.ndarray,
    text: str,
    place: tuple[int, int],
    *,
    size: int = CAPTION_SIZE,
    colour: tuple[int, int, int] = TEXT,
    anchor: float = 0.0,
) -> int:
    """Writes one line of text into a picture; what lies outside is cut off.

    Args:
      picture: [H, W, 3] uint8, changed in place.
      text: one line.
      place: column of the text's anchor, and row of the middle of the line.
      size: of the font in pixels.
      colour: red, green, blue.
      anchor: which part of the text is at `place`: 0 its left end, 0.5 its middle, 1 its right end.

    Returns:
      The column at which the text ends.
    """
    ink, (x, middle) = _ink(text, size), place
    left = x - round(anchor * ink.shape[1])
    _blend(picture, ink, (left, middle - ink.shape[0] // 2), colour=colour)
    return left + ink.shape[1]


def write_upright(picture: np.ndarray, text: str, centre: tuple[int, int], *, size: int) -> None:
    """Writes one line of text that runs upwards, centred on a column and a row."""
    ink = np.rot90(_ink(text, size))
    place = (centre[0] - ink.shape[1] // 2, centre[1] - ink.shape[0] // 2)
    _blend(picture, ink, place, colour=TEXT)


def caption(
    picture: np.ndarray,
    text: str,
    place: tuple[int, int],
    *,
    width: int,
    colour: tuple[int, int, int] = MUTED,
) -> None:
    """Writes lines, separated by line breaks, centred on a tile of this width.

    A line that is wider than the tile is cut in its middle. `place` is the left column and the top
    row.
    """
    left, top = place
    for number, line in enumerate(_lines(text)):
        short = shorten(line, CAPTION_SIZE, width - GAP)
        middle = top + number * LINE + LINE // 2
        write(picture, short, (left + width // 2, middle), colour=colour, anchor=0.5)


def caption_height(captions: Iterable[str]) -> int:
    """Returns the height of the tallest caption, in pixels."""
    return max((len(_lines(text)) for text in captions), default=0) * LINE


@functools.lru_cache(4096)
def length(text: str, size: int) -> int:
    """Returns the width of one line of text, in pixels."""
    return int(np.ceil(_font(size).getlength(text)))


@functools.lru_cache(4096)
def shorten(text: str, size: int, width: int) -> str:
    """Returns `text`, cut in the middle to fit: both ends distinguish files of a series."""
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
    """Returns `text` broken into lines of at most a width; longer words are shortened.

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
    """Returns a radiograph in the size of a tile, interpolated linearly.

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
    """Returns the height of tiles of a width for images [n, H, W, C], in pixels."""
    return max(1, round(width * images.shape[1] / images.shape[2]))


def png(picture: np.ndarray) -> bytes:
    """Returns a picture [H, W, 3] uint8 as a PNG file, fast rather than small."""
    # Many rows repeat the one above; Pillow takes twice as long.
    up = imagecodecs.PNG.FILTER.UP
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), level=1, filter=up))


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _cut(text: str, kept: int) -> str:
    return text[: kept - kept // 2] + "..." + text[len(text) - kept // 2 :]


def _blend(
    picture: np.ndarray, ink: np.ndarray, place: tuple[int, int], *, colour: tuple[int, int, int]
) -> None:
    """Blends a colour into a picture by the coverage `ink`, 0..255."""
    left, top = place
    ink = ink[max(0, -top) :, max(0, -left) :]
    top, left = max(0, top), max(0, left)
    part = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
    cover = ink[: part.shape[0], : part.shape[1], None].astype(np.int32)
    part[:] = part + (np.asarray(colour) - part) * cover // 255


@functools.lru_cache(4096)
def _ink(text: str, size: int) -> np.ndarray:
    """Returns the coverage of each pixel by one line of text: [h, w] uint8, of equal height."""
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
