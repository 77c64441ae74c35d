"""Montages of the channels of a layer for examples."""

from collections.abc import Sequence

import numpy as np

from trainer.show.pictures import canvas
from trainer.show.pictures.colours import colour_bar, table
from trainer.show.pictures.thumbnail import COLUMNS, TILE, TileRow, thumbnail
from trainer.show.pictures.tiles import Sheet, Tile, TileGroup

MAX_TILE = 100
MIN_PITCH = 20  # pixels that a number of three digits takes
BETWEEN = 6  # pixels between tiles
MOST_TILES = 32  # channels that are tiles of their own: a page with more would be slow
NUMBER_SIZE, NUMBER_HEIGHT = 11, 13
DEAD, CROSS = (30, 35, 43), (92, 102, 117)
LARGEST, SMALLEST = 1e15, 1e-30  # beyond them squares and quotients leave float32


def activation_montage(
    layer: str,
    maps: np.ndarray,
    captions: Sequence[str],
    *,
    max_channels: int | None = 16,
    colour_map: str = "grey",
) -> Sheet:
    """Returns the channels of one layer, as a block of tiles for each example.

    All blocks show the same channels in the same order, each below its number: those with the
    highest standard deviation first. A tile runs from the channel's minimum (dark) to its maximum
    (bright) over all examples, so a channel can be compared between them. A constant
    channel, such as a dead one, is crossed out. Values that are not finite are shown as 0.

    Args:
      layer: its name, the title.
      maps: [n, h, w, c] float32, the layer's output for n examples.
      captions: n captions of up to two lines, one above each block.
      max_channels: how many channels to show at most; None shows all.
      colour_map: "grey" or "viridis".

    Returns:
      A group for each example: a tile for each channel; of many channels the block is one tile.
    """
    # A diverged run still gets its pictures.
    maps = np.where(np.abs(maps) < LARGEST, maps, np.float32(0))
    channels = most_active_channels(maps, max_channels)
    columns = _columns(len(channels), len(maps))
    chosen = np.stack([maps[..., channel] for channel in channels], axis=1)
    tiles, dead = _tiles(chosen, columns, table(colour_map))
    numbers = [str(channel) for channel in channels]
    blocks = [_block(numbers, example, columns) for example in tiles]
    places = _places(tiles.shape[1:4], columns) if len(channels) <= MOST_TILES else []

    height, width = blocks[0].shape[:2]
    across = max(1, (canvas.MAX_WIDTH - canvas.MARGIN) // (width + canvas.MARGIN))
    across = min(across, len(blocks))
    above = canvas.caption_height(captions) + canvas.GAP
    pitch_x, pitch_y = width + canvas.MARGIN, above + height + canvas.GAP
    rows = -(-len(blocks) // across)
    picture, top = canvas.ground(
        across * pitch_x - canvas.MARGIN,
        rows * pitch_y + canvas.LINE,
        layer,
        detail=_detail(maps.shape, len(channels)),
    )
    groups = []
    for place, (block, caption) in enumerate(zip(blocks, captions, strict=True)):
        row, column = divmod(place, across)
        x, y = canvas.MARGIN + column * pitch_x, top + row * pitch_y
        canvas.caption(picture, caption, (x, y), width=width, colour=canvas.TEXT)
        picture[y + above : y + above + height, x : x + width] = block
        own = [
            Tile(number, (x + left, y + above + down, *tiles.shape[3:1:-1]))
            for number, (left, down) in zip(numbers, places, strict=False)
        ]
        groups.append(TileGroup(caption, own or [Tile("", (x, y + above, width, height))]))
    _legend(picture, top + rows * pitch_y, colour_map=colour_map, crossed=bool(dead.any()))
    return Sheet(picture, groups)


def activation_thumbnail(
    layer: str, maps: np.ndarray, captions: Sequence[str], *, colour_map: str = "grey"
) -> np.ndarray:
    """Returns the most active channels of one layer for the first and the last example.

    The arguments and the colours are those of `activation_montage`.

    Returns:
      [H, W, 3] uint8.
    """
    maps = np.where(np.abs(maps) < LARGEST, maps, np.float32(0))
    channels = most_active_channels(maps, COLUMNS)
    chosen = maps[..., channels].transpose(0, 3, 1, 2)
    tiles, _ = _coloured(_reduce(chosen, -(-max(chosen.shape[2:]) // TILE)), table(colour_map))
    times = max(1, TILE // max(tiles.shape[2:4]))
    tiles = tiles.repeat(times, axis=2).repeat(times, axis=3)
    rows = [TileRow(captions[place], tiles[place]) for place in sorted({0, len(maps) - 1})]
    numbers = ", ".join(map(str, channels))
    return thumbnail(f"{layer}: channel{'s' * (len(channels) > 1)} {numbers}", rows)


def most_active_channels(maps: np.ndarray, count: int | None = None) -> np.ndarray:
    """Returns the channels with the highest standard deviation in an image, on average.

    Args:
      maps: [n, h, w, c] float.
      count: how many at most; None for all.

    Returns:
      [min(count, c)] int, the most active first.
    """
    examples, height, width, channels = maps.shape
    values = maps.reshape(examples, height * width, channels)
    centred = values - values.mean(axis=1, keepdims=True)
    variance = np.einsum("npc,npc->nc", centred, centred) / (height * width)
    return np.argsort(-np.sqrt(variance).mean(axis=0), kind="stable")[:count]


def _tiles(maps: np.ndarray, columns: int, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns coloured tiles [n, c, H, W, 3] uint8 of maps [n, c, h, w], and [c] bool: dead."""
    room = (canvas.MAX_WIDTH - canvas.MARGIN) // min(len(maps), 2) - canvas.MARGIN
    largest = min(MAX_TILE, (room + BETWEEN) // columns - BETWEEN)
    # Only by whole numbers, so that the pixels of a layer are equally wide.
    maps = _reduce(maps, -(-max(maps.shape[2:]) // largest))
    times = max(1, largest // max(maps.shape[2:]))
    tiles, dead = _coloured(maps, colours)
    tiles = np.repeat(np.repeat(tiles, times, axis=2), times, axis=3)
    tiles[:, dead] = _crossed(*tiles.shape[2:4])
    return tiles, dead


def _coloured(maps: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns maps [n, c, h, w] in colours, [n, c, h, w, 3] uint8, and [c] bool: dead."""
    low = maps.min(axis=(2, 3)).min(axis=0)
    span = maps.max(axis=(2, 3)).max(axis=0) - low
    dead = span < SMALLEST
    scale = 255 / np.where(dead, 1, span)
    levels = ((maps - low[:, None, None]) * scale[:, None, None] + 0.5).astype(np.uint8)
    return colours[levels], dead


def _reduce(maps: np.ndarray, times: int) -> np.ndarray:
    """Returns means over squares of `times` pixels; those at the far edges may have fewer."""
    if times == 1:
        return maps
    height, width = maps.shape[2:]
    down, across = np.arange(0, height, times), np.arange(0, width, times)
    sums = np.add.reduceat(np.add.reduceat(maps, down, axis=2), across, axis=3)
    rows, columns = np.diff(down, append=height), np.diff(across, append=width)
    return sums / np.outer(rows, columns).astype(np.float32)


def _columns(channels: int, examples: int) -> int:
    """Returns how many tiles of a block are side by side; a single block is twice as wide."""
    columns = 4 if channels < 64 else 8 if channels < 256 else 16
    return min(channels, columns if examples > 1 else 2 * columns)


def _block(numbers: Sequence[str], tiles: np.ndarray, columns: int) -> np.ndarray:
    """Returns the tiles [c, h, w, 3] of one example in rows, each below its channel's number."""
    height, width = tiles.shape[1:3]
    places = _places(tiles.shape[:3], columns)
    across = columns * (max(width, MIN_PITCH) + BETWEEN) - BETWEEN
    block = canvas.empty(across, places[-1][1] + height)
    for number, tile, (x, y) in zip(numbers, tiles, places, strict=True):
        middle = y - NUMBER_HEIGHT + NUMBER_HEIGHT // 2
        canvas.write(block, number, (x, middle), size=NUMBER_SIZE, colour=canvas.MUTED)
        block[y : y + height, x : x + width] = tile
    return block


def _places(shape: tuple[int, ...], columns: int) -> list[tuple[int, int]]:
    """Returns where in a block the tiles of a shape (c, h, w) lie: left and top of each."""
    count, height, width = shape
    pitch_x, pitch_y = max(width, MIN_PITCH) + BETWEEN, NUMBER_HEIGHT + height + BETWEEN
    rows_columns = (divmod(place, columns) for place in range(count))
    return [(column * pitch_x, row * pitch_y + NUMBER_HEIGHT) for row, column in rows_columns]


def _crossed(height: int, width: int) -> np.ndarray:
    """Returns the tile of a constant channel."""
    rows, columns = np.mgrid[:height, :width]
    down = np.abs(rows * width - columns * height) < max(height, width)
    tile = np.empty((height, width, 3), np.uint8)
    tile[:] = DEAD
    tile[down | down[:, ::-1]] = CROSS
    return tile


def _detail(shape: tuple[int, ...], shown: int) -> str:
    _, height, width, channels = shape
    count = f"{shown} of {channels}" if shown < channels else f"{channels}"
    noun = "channel" if channels == 1 else "channels"
    return f"{height} x {width} x {channels}, {count} {noun}, the most active first"


def _legend(picture: np.ndarray, top: int, *, colour_map: str, crossed: bool) -> None:
    """Draws the colour bar, and explains the cross where there is one."""
    words = ("minimum", "maximum of the channel over all examples")
    x = colour_bar(picture, table(colour_map), words, left=canvas.MARGIN, top=top)
    if crossed:
        side = canvas.LINE - 4
        x += 2 * canvas.MARGIN
        picture[top + 2 : top + 2 + side, x : x + side] = _crossed(side, side)
        middle = top + canvas.LINE // 2
        canvas.write(picture, "constant", (x + side + 6, middle), colour=canvas.MUTED)
