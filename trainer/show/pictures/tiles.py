"""Where the tiles of a sheet lie, so that a page can lay them out for its width.

The layout travels inside the PNG file, as a text that other programs ignore.
"""

import io
import json
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from trainer.show.pictures import canvas

KEY = "trainer:tiles"
END = 12  # bytes of a PNG file's last chunk


class Tile(NamedTuple):
    """One image of a sheet: its caption, and (left, top, width, height) in pixels."""

    caption: str
    box: tuple[int, int, int, int]


class TileGroup(NamedTuple):
    """Tiles that belong together, such as a class: their heading, and the tiles in order."""

    title: str
    tiles: list[Tile]


class Sheet(NamedTuple):
    """A picture [H, W, 3] uint8, and its tiles."""

    pixels: np.ndarray
    groups: Sequence[TileGroup]

    def png(self) -> bytes:
        """Returns the picture as a PNG file that holds the layout, too."""
        file = canvas.png(self.pixels)
        content = b"tEXt" + KEY.encode() + b"\0" + json.dumps(self.groups).encode("ascii")
        chunk = struct.pack(">I", len(content) - 4) + content
        return file[:-END] + chunk + struct.pack(">I", zlib.crc32(content)) + file[-END:]


def read_groups(png: bytes) -> list[TileGroup]:
    """Returns the groups of tiles of a PNG file, none where it holds no layout."""
    with Image.open(io.BytesIO(png)) as image:
        image.load()  # the layout is behind the pixels
        text = getattr(image, "text", {}).get(KEY, "[]")
    groups = json.loads(text)
    return [
        TileGroup(title, [Tile(caption, tuple(box)) for caption, box in tiles])
        for title, tiles in groups
    ]
