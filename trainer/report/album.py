"""The pictures that a run has left, as a page takes them in."""

import io
from typing import NamedTuple

from etils import epath
from PIL import Image

from trainer.report import page

PARTS = ("test", "validation", "train")  # the final pictures first
# Runs were once without these folders.
OLD = {"samples": "sample_sheet", "augmented": "augmented"}
QUALITY = 88  # of JPEG, for what is unfolded to be looked over


class Picture(NamedTuple):
    """A picture with its address, which holds it, and its size in pixels."""

    source: str
    width: int
    height: int


class Layer(NamedTuple):
    """An inner layer: its most active channels, and all of them where they are more."""

    name: str
    active: Picture | None
    whole: Picture | None


class Album:
    """The pictures of a run, in the order in which they are asked for, as many as there is room.

    Args:
      workdir: of the run.
      most_bytes: of all pictures taken in, of which base64 makes a third more.
    """

    def __init__(self, workdir: epath.Path, most_bytes: int):
        self._folder = workdir / "pictures"
        self._room = most_bytes
        self.left_out: list[str] = []

    def picture(self, tag: str) -> Picture | None:
        """Returns the newest picture of a tag.

        Args:
          tag: its path below `pictures/PART/`, without the ending.

        Returns:
          None where there is none, or no room for it: then `left_out` has its file.
        """
        file = self._file(tag)
        return file and self._taken_in(file)

    def layers(self) -> list[Layer]:
        """Returns the inner layers in order of data flow."""
        names = self._names("activations")
        active = {name: self.picture(f"activations/{name}") for name in names}
        return [Layer(name.partition("_")[2], active[name], self._whole(name)) for name in names]

    def filters(self) -> list[tuple[str, Picture]]:
        """Returns the name and the filters of the first convolution."""
        pictures = {name: self.picture(f"filters/{name}") for name in self._names("filters")}
        return [(name, picture) for name, picture in pictures.items() if picture]

    def _whole(self, name: str) -> Picture | None:
        """All channels of a layer, unless its most active ones are all."""
        whole, active = (
            self._file(f"{tag}/{name}") for tag in ("activations_whole", "activations")
        )
        if whole is None or whole.read_bytes() == active.read_bytes():
            return None
        return self._taken_in(whole, jpeg=True)

    def _names(self, tag: str) -> list[str]:
        """What the newest pictures in a folder are called, without the ending."""
        folders = [*(self._folder / part / tag for part in PARTS), self._folder / tag]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        return sorted(file.stem for file in folder.glob("*.png")) if folder else []

    def _file(self, tag: str) -> epath.Path | None:
        files = [self._folder / part / f"{tag}.png" for part in PARTS]
        files.append(self._folder / f"{OLD.get(tag, tag)}.png")
        return next((file for file in files if file.exists()), None)

    def _taken_in(self, file: epath.Path, jpeg: bool = False) -> Picture | None:
        data, kind = file.read_bytes(), "png"
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if jpeg:
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "JPEG", quality=QUALITY)
                smaller = buffer.getvalue()
                data, kind = min((data, "png"), (smaller, "jpeg"), key=lambda of: len(of[0]))
        if len(data) > self._room:
            self.left_out.append(str(file.relative_to(self._folder.parent)))
            return None
        self._room -= len(data)
        return Picture(page.data_uri(data, kind), width, height)
