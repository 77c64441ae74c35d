"""Synthetic radiographs under the layout and the naming of the public archive."""

from trainer.data.synthetic import phantom

SEED = 0


class PhantomFiles:
    """The files of an archive of phantoms, in memory."""

    def __init__(self, images: int):
        self.name = f"phantom:{images}"
        self._content = dict(phantom.archive(images, SEED))
        self.stamps = {name: f"{images} {SEED}" for name in self._content}
        self.refused: dict[str, str] = {}

    def read(self, name: str) -> bytes:
        """Returns the file's bytes; see `Files`."""
        return self._content[name]

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file; see `Files`."""
        return self._content[name][:size]

    def content(self, name: str) -> str:
        """Returns the file's bytes as text; see `Files`."""
        return self._content[name].hex()
