"""Where in a radiograph the evidence for a label lies, as heat over the image."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table

PERCENTILE = 99.5  # is shown as the most: a few hot pixels do not darken the others
OPACITY = 0.55  # of the hottest place: anatomy stays visible below it
NAME_WIDTH = 150  # the most that the names of the methods take
HOTTEST = 216  # of the 256 colours of hot iron
ALONE, LARGEST, SMALLEST = 300, 240, 140  # widths of tiles
BELOW = 3  # pixels between a caption and its tile
ROOM = 1000  # pixels in which few examples are enlarged
ACROSS = 4  # tiles side by side where there is one example
RADIOGRAPH = "radiograph"


def heat_sheet(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    captions: Sequence[str],
    colour_map: str = "grey",
) -> np.ndarray:
    """Radiographs, and below each the heat of one or more methods over it.

    An example is a column, a method a row with its name in front. A lone example has its tiles
    side by side, the name above each. Each map has its own scale, up to its 99.5th percentile.
    Where a map is 0 the radiograph is untouched; one that is 0 everywhere says "no evidence".
    Values below 0 and those that are not finite count as 0.

    Args:
      title: says what the heat is evidence for.
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
        raise ValueError(f"{len(images)} images need a caption each, and a map of each method.")
    colours = _heat_table(colour_map)
    draw = _one_example if len(images) == 1 else _examples
    return draw(title, images, maps, captions, colours)


def _examples(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    captions: Sequence[str],
    colours: np.ndarray,
) -> np.ndarray:
    """A column an example, a row a method."""
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
            canvas.write(picture, line, canvas.MARGIN, y, canvas.DETAIL_SIZE)
    for column, image in enumerate(images):
        x = canvas.MARGIN + front + column * pitch_x
        canvas.caption(picture, captions[column], x, top, width, canvas.TEXT)
        tiles = _tiles(image, [of_method[column] for of_method in maps.values()], width, colours)
        for row, tile in enumerate(tiles):
            y = top + above + row * pitch_y
            picture[y : y + height, x : x + width] = tile
    _legend(picture, canvas.MARGIN + front, top + bottom, colours)
    return picture


def _one_example(
    title: str,
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    captions: Sequence[str],
    colours: np.ndarray,
) -> np.ndarray:
    """The radiograph and the methods side by side."""
    room = ALONE - canvas.GAP
    lines = (canvas.wrap(name, canvas.CAPTION_SIZE, room) for name in (RADIOGRAPH, *maps))
    names = ["\n".join(of_name) for of_name in lines]
    height = canvas.tile_height(images, ALONE)
    across = min(len(names), ACROSS)
    above = canvas.caption_height(names) + BELOW
    pitch_x, pitch_y = ALONE + canvas.GAP, above + height + canvas.GAP
    bottom = -(-len(names) // across) * pitch_y

    detail = captions[0].replace("\n", ", ")
    content = across * pitch_x - canvas.GAP
    picture, top = canvas.ground(content, bottom + canvas.LINE, title, detail)
    tiles = _tiles(images[0], [of_method[0] for of_method in maps.values()], ALONE, colours)
    for place, (name, tile) in enumerate(zip(names, tiles, strict=True)):
        row, column = divmod(place, across)
        x, y = canvas.MARGIN + column * pitch_x, top + row * pitch_y
        name_top = y + above - BELOW - canvas.caption_height([name])
        canvas.caption(picture, name, x, name_top, ALONE, canvas.TEXT)
        picture[y + above : y + above + height, x : x + ALONE] = tile
    _legend(picture, canvas.MARGIN, top + bottom, colours)
    return picture


def _heat_table(colour_map: str) -> np.ndarray:
    """The colours of heat, [256, 3] uint8."""
    if colour_map != "grey":
        return table(colour_map)
    # Hot iron up to pale yellow: white would be lost on bone.
    return table("hot")[np.linspace(0, HOTTEST, 256).astype(int)]


def _tiles(
    image: np.ndarray, maps: Sequence[np.ndarray], width: int, colours: np.ndarray
) -> list[np.ndarray]:
    """The radiograph, and the same below each map."""
    plain = canvas.tile(image, width, canvas.tile_height(image[None], width))
    return [plain, *(_overlay(plain, values, colours) for values in maps)]


def _overlay(plain: np.ndarray, values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A map [h, w] over a tile [H, W, 3], or the words "no evidence" below it."""
    height, width = plain.shape[:2]
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    values = np.maximum(values, 0)
    most = np.percentile(values, PERCENTILE) or values.max()
    if most == 0:
        tile = plain.copy()
        tile[-canvas.LINE - 4 :] //= 4
        canvas.caption(tile, "no evidence", 0, height - canvas.LINE - 2, width, canvas.TEXT)
        return tile
    small = Image.fromarray(np.minimum(values / most, 1).astype(np.float32))
    heat = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return _blend(plain, np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8), colours)


def _blend(plain: np.ndarray, heat: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Heat [..., ] uint8 over colours [..., 3] uint8, the more opaque the hotter."""
    opacity = (OPACITY * np.arange(256, dtype=np.float32) / 255)[:, None]
    lit = opacity * colours
    return np.rint(plain * (1 - opacity)[heat] + lit[heat]).astype(np.uint8)


def _legend(picture: np.ndarray, left: int, top: int, colours: np.ndarray) -> None:
    """The colours as they look over mid grey."""
    ramp = np.arange(256, dtype=np.uint8)
    bar = _blend(np.full((256, 3), 128, np.uint8), ramp, colours)
    end = colour_bar(picture, bar, "none", "most", left, top)
    place = (end + 16, top + canvas.LINE // 2)
    canvas.write(picture, "evidence, each map on its own scale", *place, colour=canvas.MUTED)
