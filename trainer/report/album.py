"""The pictures of a run, embedded in a page as far as there is room."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from etils import epath
from PIL import Image

from trainer.report import page
from trainer.show.pictures.tiles import TileGroup, read_groups

PARTS = ("test", "validation", "train")  # the pictures of the kept epoch come first
QUALITY = 90  # of JPEG, which is taken where it is smaller


class Picture(NamedTuple):
    """A picture as a data URI, its size in pixels, and its groups of tiles, if it has some."""

    source: str
    width: int
    height: int
    groups: Sequence[TileGroup] = ()


def embedded(png: bytes) -> Picture:
    """Returns a picture of a PNG file, with its tiles; as JPEG where that is smaller."""
    data, kind, groups = png, "png", read_groups(png)
    with Image.open(io.BytesIO(png)) as image:
        (width, height), buffer = image.size, io.BytesIO()
        if image.mode in ("L", "RGB"):  # JPEG has no transparency
            image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    if 0 < len(buffer.getvalue()) < len(data):
        data, kind = buffer.getvalue(), "jpeg"
    return Picture(page.data_uri(data, kind), width, height, groups)


class Layer(NamedTuple):
    """An inner layer: its most active channels, and all channels where they are more."""

    name: str
    most_active: Picture | None
    whole: Picture | None


class Album:
    """The pictures of a run, embedded in the order in which they are asked for.

    Args:
      workdir: of the run.
      most_bytes: of all embedded pictures; base64 takes a third more.

    Attributes:
      left_out: files of the pictures for which there was no room.
    """

    def __init__(self, workdir: epath.Path, most_bytes: int):
        self._folder = workdir / "pictures"
        self._room = most_bytes
        self.left_out: list[str] = []

    def picture(self, tag: str) -> Picture | None:
        """Returns the picture of a tag from the first part that has it.

        Args:
          tag: its path below `pictures/PART/`, without the ending.

        Returns:
          None where there is none, or no room for it: then `left_out` has its file.
        """
        file = self._file(tag)
        return file and self._embedded(file)

    def layers(self) -> list[Layer]:
        """Returns the inner layers in order of data flow."""
        names = self._names("activations")
        most_active = {name: self.picture(f"activations/{name}") for name in names}
        return [
            Layer(name.partition("_")[2], most_active[name], self._whole(name)) for name in names
        ]

    def filters(self) -> list[tuple[str, Picture]]:
        """Returns the name and the filters of the first convolution."""
        pictures = {name: self.picture(f"filters/{name}") for name in self._names("filters")}
        return [(name, picture) for name, picture in pictures.items() if picture]

    def _whole(self, name: str) -> Picture | None:
        """Returns all channels of a layer, None where the most active ones are all."""
        whole, most_active = (
            self._file(f"{tag}/{name}") for tag in ("activations_whole", "activations")
        )
        if whole is None or most_active is None or whole.read_bytes() == most_active.read_bytes():
            return None
        return self._embedded(whole)

    def _names(self, tag: str) -> list[str]:
        """Returns the names of the pictures in the first part's folder that has some."""
        folders = (self._folder / part / tag for part in PARTS)
        folder = next((folder for folder in folders if folder.is_dir()), None)
        return sorted(file.stem for file in folder.glob("*.png")) if folder else []

    def _file(self, tag: str) -> epath.Path | None:
        files = (self._folder / part / f"{tag}.png" for part in PARTS)
        return next((file for file in files if file.exists()), None)

    def _embedded(self, file: epath.Path) -> Picture | None:
        picture = embedded(file.read_bytes())
        size = len(picture.source) * 3 // 4
        if size > self._room:
            self.left_out.append(str(file.relative_to(self._folder.parent)))
            return None
        self._room -= size
        return picture
