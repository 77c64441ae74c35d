"""Montages of the filters of the first convolution."""

import numpy as np

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup

COLUMNS = 8
MAX_TILE = 84
BETWEEN = 8  # pixels between tiles
NUMBER_SIZE, NUMBER_HEIGHT = 11, 13


def filter_montage(layer: str, filters: np.ndarray, colour_map: str = "grey") -> Sheet:
    """Returns all filters of a layer on one scale that is symmetrical around 0.

    The input channels are equal in a radiograph, so the sum of a filter over them is shown, which
    is what acts on the image. Mid grey is 0. Weights that are not finite are shown as 0.

    Args:
      layer: its name, the title.
      filters: [n, h, w, c] float32, n filters on c input channels.
      colour_map: "grey" or "viridis".

    Returns:
      One group with a tile for each filter.
    """
    count, height, width, inputs = filters.shape
    weights = np.nan_to_num(filters, nan=0.0, posinf=0.0, neginf=0.0).sum(axis=3, dtype=np.float64)
    largest = np.abs(weights).max()
    # 128 is 0, so that 1 and 255 are equally far from it.
    levels = np.rint(128 + 127 * weights / (largest or 1)).astype(np.uint8)
    colours = table(colour_map)
    times = max(1, MAX_TILE // max(height, width))
    tiles = np.repeat(np.repeat(colours[levels], times, axis=1), times, axis=2)

    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    pitch_x = max(width * times, NUMBER_SIZE * 2) + BETWEEN
    pitch_y = NUMBER_HEIGHT + height * times + BETWEEN
    detail = f"{count} filters of {height} x {width}"
    if inputs > 1:
        detail += f", summed over the {inputs} input channels, which are equal in a grey image"
    picture, top = canvas.ground(
        columns * pitch_x - BETWEEN, rows * pitch_y + canvas.GAP + canvas.LINE, layer, detail=detail
    )
    words = f"{-largest:.3g}", f"+{largest:.3g}"
    group = TileGroup(f"{' to '.join(words)}, the middle is 0", [])
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        x, y = canvas.MARGIN + column * pitch_x, top + row * pitch_y
        middle = y + NUMBER_HEIGHT // 2
        canvas.write(picture, str(number), (x, middle), size=NUMBER_SIZE, colour=canvas.MUTED)
        y += NUMBER_HEIGHT
        picture[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        group.tiles.append(Tile(str(number), (x, y, tile.shape[1], tile.shape[0])))
    y = top + rows * pitch_y + canvas.GAP
    end = colour_bar(picture, colours, words, left=canvas.MARGIN, top=y)
    place = (end + 16, y + canvas.LINE // 2)
    canvas.write(picture, "the middle is 0", place, colour=canvas.MUTED)
    return Sheet(picture, [group])
