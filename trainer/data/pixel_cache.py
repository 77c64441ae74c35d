"""Where the decoded pixels of each split are kept; what is kept is decoded once."""

from collections.abc import Mapping

from ml_collections import ConfigDict

from trainer.data import pipeline
from trainer.system import memory
from trainer.system.errors import UsageError

FREE_SHARE = 0.75  # of the free memory; the rest is for batches, activations and the system


class PixelCache:
    """The pixels of each split, in memory or read anew at every visit; the batches are the same.

    With `data.cache` "auto", splits are kept in memory in their order for as long as they fit.
    Workers of one machine that start together see the same free memory: each takes its part.

    Args:
      splits: by name, train first.
      data: the fields `data.*` of a config.
      free: bytes of memory that are free; by default what this process finds.
      processes: that train on this machine, and share it.

    Raises:
      UsageError: if `data.cache` is "host" and the splits do not fit.
    """

    def __init__(
        self,
        splits: Mapping[str, pipeline.Split],
        data: ConfigDict,
        *,
        free: int | None = None,
        processes: int = 1,
    ):
        self._splits, self._data = splits, data
        self._kept: dict[str, pipeline.Pixels] = {}
        self._free = (memory.free_bytes() if free is None else free) // processes
        self._sizes = {name: pipeline.pixel_bytes(s, data.image_size) for name, s in splits.items()}
        self._in_memory = self._chosen()

    @property
    def description(self) -> str:
        """Says in a line which splits are kept in memory, and how much of it they take."""
        kept = sum(self._sizes[name] for name in self._in_memory)
        line = f"data.cache={self._data.cache}: {memory.gib(kept)} of {memory.gib(self._free)} free"
        line += f" for the decoded images of {', '.join(self._in_memory)}" if kept else ""
        others = [
            f"{name} ({memory.gib(size)})"
            for name, size in self._sizes.items()
            if name not in self._in_memory
        ]
        return line + (f"; decoded at every visit: {', '.join(others)}" if others else "")

    def pixels(self, name: str) -> pipeline.Pixels:
        """Returns the pixels of a split; they are decoded at the first call if they are kept."""
        if name not in self._kept:
            self._kept[name] = pipeline.pixels(
                self._splits[name],
                self._data.image_size,
                "host" if name in self._in_memory else "none",
                fit_mode=self._data.fit,
            )
        return self._kept[name]

    def _chosen(self) -> list[str]:
        """Returns the names of the splits that are kept in memory."""
        if self._data.cache == "none":
            return []
        if self._data.cache == "host":
            self._check_room()
            return list(self._splits)
        chosen, left = [], FREE_SHARE * self._free
        for name, size in self._sizes.items():
            if size <= left:
                chosen.append(name)
                left -= size
        return chosen

    def _check_room(self) -> None:
        needed = sum(self._sizes.values())
        if needed > self._free:
            raise UsageError(
                f"data.cache=host would take {memory.gib(needed)} for the decoded images at "
                f"data.image_size={self._data.image_size}, and {memory.gib(self._free)} of memory "
                "are free for this process: give --config.data.cache=auto, a smaller "
                "data.image_size, or more memory."
            )
