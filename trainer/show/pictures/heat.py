"""Sheets of radiographs with the evidence for a label as heat over them."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup

PERCENTILE = 99.5  # the end of the scale: a few hot pixels do not darken the others
FLOOR = 0.4  # share of the maximum up to which nothing covers the radiograph
OPACITY = 0.5  # of the hottest pixel: anatomy stays visible below it
CONTOUR = 0.5  # share of the maximum that is outlined
FINE = 64  # a map that is wider marks single pixels, around which an outline would say nothing
HOTTEST = 216  # of the 256 colours of hot iron: white would be lost on bone
NAME_WIDTH = 150  # largest width of the names of methods
ALONE, LARGEST, SMALLEST = 300, 240, 140  # widths of tiles
BELOW = 3  # pixels between a caption and its tile
ROOM = 1000  # pixels that few examples are enlarged to
ACROSS = 4  # tiles side by side where there is one example
RADIOGRAPH = "radiograph"


def heat_sheet(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str],
) -> Sheet:
    """Returns radiographs, and below each the heat of one or more methods over it.

    An example is a column, a method a row with its name on the left. A single example has its
    tiles side by side, the name above each. Each map has its own scale, see `overlay`; one that is
    0 everywhere is marked as "no evidence".

    Args:
      title: what the heat is evidence for.
      images: [n, H, W, 1] uint8.
      maps: by name of the method, from the top: [n, h, w] float.
      captions: n captions of up to two lines.

    Returns:
      A group of tiles for each example.

    Raises:
      ValueError: there are no images, or not as many captions or maps as images.
    """
    if not len(images) or {len(captions), *map(len, maps.values())} != {len(images)}:
        raise ValueError(f"{len(images)} images need a caption each, and a map from each method.")
    draw = _one_example if len(images) == 1 else _examples
    return draw(title, images, maps, captions=captions)


def overlay(values: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """Returns a map as heat to lay over a radiograph, the more opaque the hotter.

    The scale ends at the 99.5th percentile. Nothing is drawn below 40 % of it, and a thin line runs
    along 50 % of a coarse map. Values below 0 and those that are not finite count as 0.

    Args:
      values: [h, w] float.
      width: of the tile, in pixels.
      height: of the tile, in pixels.

    Returns:
      [height, width, 4] uint8, the last channel is the opacity; None where the map is 0 everywhere.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    values = np.maximum(values, 0)
    most = np.percentile(values, PERCENTILE) or values.max()
    if most == 0:
        return None
    small = Image.fromarray(np.minimum(values / most, 1).astype(np.float32))
    heat = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    drawn = _colours()[np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)]
    if values.shape[1] <= FINE:
        drawn[_outline(heat >= CONTOUR)] = (*_colours()[-1, :3], 255)
    return drawn


def _examples(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str],
) -> Sheet:
    """Returns a column for each example, and a row for each method."""
    names = [canvas.wrap(name, canvas.DETAIL_SIZE, NAME_WIDTH) for name in (RADIOGRAPH, *maps)]
    width = min(max(ROOM // len(images), SMALLEST), LARGEST)
    height = canvas.tile_height(images, width)
    front = max(canvas.length(line, canvas.DETAIL_SIZE) for lines in names for line in lines)
    front += 2 * canvas.GAP
    above = canvas.caption_height(captions) + BELOW
    pitch_x, pitch_y = width + canvas.GAP, height + canvas.GAP
    bottom = above + len(names) * pitch_y

    content = front + len(images) * pitch_x - canvas.GAP
    picture, top = canvas.ground(content, bottom + canvas.LINE, title)
    for row, lines in enumerate(names):
        middle = top + above + row * pitch_y + height // 2
        for number, line in enumerate(lines):
            y = middle + round((number - (len(lines) - 1) / 2) * canvas.LINE)
            canvas.write(picture, line, (canvas.MARGIN, y), size=canvas.DETAIL_SIZE)
    groups = []
    for column, image in enumerate(images):
        x = canvas.MARGIN + front + column * pitch_x
        canvas.caption(picture, captions[column], (x, top), width=width, colour=canvas.TEXT)
        tiles = _tiles(image, [examples[column] for examples in maps.values()], width)
        boxes = [(x, top + above + row * pitch_y, width, height) for row in range(len(tiles))]
        for (x, y, _, _), tile in zip(boxes, tiles, strict=True):
            picture[y : y + height, x : x + width] = tile
        groups.append(TileGroup(captions[column], list(map(Tile, (RADIOGRAPH, *maps), boxes))))
    _legend(picture, top + bottom)
    return Sheet(picture, groups)


def _one_example(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str],
) -> Sheet:
    """Returns the radiograph and the methods side by side."""
    room = ALONE - canvas.GAP
    lines = (canvas.wrap(name, canvas.CAPTION_SIZE, room) for name in (RADIOGRAPH, *maps))
    names = ["\n".join(name_lines) for name_lines in lines]
    height = canvas.tile_height(images, ALONE)
    across = min(len(names), ACROSS)
    above = canvas.caption_height(names) + BELOW
    pitch_x, pitch_y = ALONE + canvas.GAP, above + height + canvas.GAP
    bottom = -(-len(names) // across) * pitch_y

    detail = captions[0].replace("\n", ", ")
    content = across * pitch_x - canvas.GAP
    picture, top = canvas.ground(content, bottom + canvas.LINE, title, detail=detail)
    tiles = _tiles(images[0], [examples[0] for examples in maps.values()], ALONE)
    group = TileGroup(captions[0], [])
    for place, (name, tile) in enumerate(zip(names, tiles, strict=True)):
        row, column = divmod(place, across)
        x, y = canvas.MARGIN + column * pitch_x, top + row * pitch_y
        name_top = y + above - BELOW - canvas.caption_height([name])
        canvas.caption(picture, name, (x, name_top), width=ALONE, colour=canvas.TEXT)
        picture[y + above : y + above + height, x : x + ALONE] = tile
        group.tiles.append(Tile(name.replace("\n", " "), (x, y + above, ALONE, height)))
    _legend(picture, top + bottom)
    return Sheet(picture, [group])


@functools.cache
def _colours() -> np.ndarray:
    """Returns the colours of heat with their opacities, [256, 4] uint8."""
    hot = table("hot")[np.linspace(0, HOTTEST, 256).astype(int)]
    opacity = OPACITY * np.maximum(np.linspace(0, 1, 256) - FLOOR, 0) / (1 - FLOOR)
    return np.column_stack([hot, np.rint(255 * opacity)]).astype(np.uint8)


def _outline(inside: np.ndarray) -> np.ndarray:
    """Returns the pixels [h, w] bool inside that have a neighbour outside."""
    edge = np.zeros_like(inside)
    edge[1:] |= ~inside[:-1]
    edge[:-1] |= ~inside[1:]
    edge[:, 1:] |= ~inside[:, :-1]
    edge[:, :-1] |= ~inside[:, 1:]
    return edge & inside


def _tiles(image: np.ndarray, maps: Sequence[np.ndarray], width: int) -> list[np.ndarray]:
    """Returns the radiograph, and the same with each map over it, [h, width, 3] uint8 each."""
    plain = canvas.tile(image, width, canvas.tile_height(image[None], width))
    return [plain, *(_covered(plain, values) for values in maps)]


def _covered(plain: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns a tile [H, W, 3] with a map [h, w] over it, or with the words "no evidence"."""
    height, width = plain.shape[:2]
    heat = overlay(values, width, height)
    if heat is None:
        tile = plain.copy()
        tile[-canvas.LINE - 4 :] //= 4
        place = (0, height - canvas.LINE - 2)
        canvas.caption(tile, "no evidence", place, width=width, colour=canvas.TEXT)
        return tile
    return _blend(plain, heat)


def _blend(plain: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns heat [..., 4] uint8 over colours [..., 3] uint8."""
    opacity = heat[..., 3:] / np.float32(255)
    return np.rint(plain * (1 - opacity) + heat[..., :3] * opacity).astype(np.uint8)


def _legend(picture: np.ndarray, top: int) -> None:
    """Draws the colours as they look over mid grey."""
    bar = _blend(np.full((256, 3), 128, np.uint8), _colours())
    end = colour_bar(picture, bar, ("none", "most"), left=canvas.MARGIN, top=top)
    words = f"each map on its own scale; clear below {FLOOR:.0%}, line at {CONTOUR:.0%}"
    words = words.replace("%", " %")
    canvas.write(picture, words, (end + 16, top + canvas.LINE // 2), colour=canvas.MUTED)
