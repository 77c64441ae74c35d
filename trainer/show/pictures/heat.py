"""Sheets of radiographs with the evidence for a label as heat over them."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table

PERCENTILE = 99.5  # the end of the scale: a few hot pixels do not darken the others
OPACITY = 0.55  # of the hottest pixel: anatomy stays visible below it
NAME_WIDTH = 150  # largest width of the names of methods
HOTTEST = 216  # of the 256 colours of hot iron
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
    colour_map: str = "grey",
) -> np.ndarray:
    """Returns radiographs, and below each the heat of one or more methods over it.

    An example is a column, a method a row with its name on the left. A single example has its
    tiles side by side, the name above each. Each map has its own scale, up to its 99.5th
    percentile. Where a map is 0 the radiograph is unchanged; one that is 0 everywhere is marked as
    "no evidence".
    Values below 0 and those that are not finite count as 0.

    Args:
      title: what the heat is evidence for.
      images: [n, H, W, 1] uint8.
      maps: by name of the method, from the top: [n, h, w] float.
      captions: n captions of up to two lines.
      colour_map: "grey" lays hot iron over the radiograph, "viridis" that map.

    Returns:
      [h, w, 3] uint8.

    Raises:
      ValueError: there are no images, or not as many captions or maps as images.
    """
    if not len(images) or {len(captions), *map(len, maps.values())} != {len(images)}:
        raise ValueError(f"{len(images)} images need a caption each, and a map from each method.")
    colours = _heat_table(colour_map)
    draw = _one_example if len(images) == 1 else _examples
    return draw(title, images, maps, captions=captions, colours=colours)


def _examples(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str],
    colours: np.ndarray,
) -> np.ndarray:
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
    for column, image in enumerate(images):
        x = canvas.MARGIN + front + column * pitch_x
        canvas.caption(picture, captions[column], (x, top), width=width, colour=canvas.TEXT)
        tiles = _tiles(
            image, [examples[column] for examples in maps.values()], width=width, colours=colours
        )
        for row, tile in enumerate(tiles):
            y = top + above + row * pitch_y
            picture[y : y + height, x : x + width] = tile
    _legend(picture, colours, left=canvas.MARGIN + front, top=top + bottom)
    return picture


def _one_example(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str],
    colours: np.ndarray,
) -> np.ndarray:
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
    tiles = _tiles(
        images[0], [examples[0] for examples in maps.values()], width=ALONE, colours=colours
    )
    for place, (name, tile) in enumerate(zip(names, tiles, strict=True)):
        row, column = divmod(place, across)
        x, y = canvas.MARGIN + column * pitch_x, top + row * pitch_y
        name_top = y + above - BELOW - canvas.caption_height([name])
        canvas.caption(picture, name, (x, name_top), width=ALONE, colour=canvas.TEXT)
        picture[y + above : y + above + height, x : x + ALONE] = tile
    _legend(picture, colours, left=canvas.MARGIN, top=top + bottom)
    return picture


def _heat_table(colour_map: str) -> np.ndarray:
    """Returns the colours of heat, [256, 3] uint8."""
    if colour_map != "grey":
        return table(colour_map)
    # Hot iron up to pale yellow: white would be lost on bone.
    return table("hot")[np.linspace(0, HOTTEST, 256).astype(int)]


def _tiles(
    image: np.ndarray, maps: Sequence[np.ndarray], *, width: int, colours: np.ndarray
) -> list[np.ndarray]:
    """Returns the radiograph, and the same with each map over it."""
    plain = canvas.tile(image, width, canvas.tile_height(image[None], width))
    return [plain, *(_overlay(plain, values, colours) for values in maps)]


def _overlay(plain: np.ndarray, values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Returns a tile [H, W, 3] with a map [h, w] over it, or with the words "no evidence"."""
    height, width = plain.shape[:2]
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    values = np.maximum(values, 0)
    most = np.percentile(values, PERCENTILE) or values.max()
    if most == 0:
        tile = plain.copy()
        tile[-canvas.LINE - 4 :] //= 4
        place = (0, height - canvas.LINE - 2)
        canvas.caption(tile, "no evidence", place, width=width, colour=canvas.TEXT)
        return tile
    small = Image.fromarray(np.minimum(values / most, 1).astype(np.float32))
    heat = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return _blend(plain, np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8), colours)


def _blend(plain: np.ndarray, heat: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Returns heat [...] uint8 over colours [..., 3] uint8, the more opaque the hotter."""
    opacity = (OPACITY * np.arange(256, dtype=np.float32) / 255)[:, None]
    lit = opacity * colours
    return np.rint(plain * (1 - opacity)[heat] + lit[heat]).astype(np.uint8)


def _legend(picture: np.ndarray, colours: np.ndarray, *, left: int, top: int) -> None:
    """Draws the colours as they look over mid grey."""
    ramp = np.arange(256, dtype=np.uint8)
    bar = _blend(np.full((256, 3), 128, np.uint8), ramp, colours)
    end = colour_bar(picture, bar, ("none", "most"), left=left, top=top)
    place = (end + 16, top + canvas.LINE // 2)
    canvas.write(picture, "evidence, each map on its own scale", place, colour=canvas.MUTED)
