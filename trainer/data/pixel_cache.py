"""Where the decoded pixels of each split are kept; what is kept is decoded once."""

import functools
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from trainer.data import pipeline, pixel_file, staging
from trainer.system import memory
from trainer.system.errors import CannotWrite, UsageError

LOGGER = logging.getLogger(__name__)

FREE_SHARE = 0.75  # of the free memory; the rest is for batches, activations and the system
DISK_SHARE = 0.5  # of the disk's free bytes that files may take where nobody asked for them
AT_ONCE = 4  # batches that are read from a disk at the same time


class PixelCache:
    """The pixels of each split, kept or read anew at every visit; the batches are the same.

    With `data.cache` "auto", each split in its order is mapped from a file that an earlier run has
    made, else kept in memory if it fits there, else in a file if that fits on the disk. Workers of
    one machine that start together see the same free memory: each takes its part of it, and they
    share files.

    Args:
      splits: by name, train first.
      data: the fields `data.*` of a config.
      free: bytes of memory that are free; by default what this process finds.
      processes: that train on this machine, and share it.
      folder: of the files of decoded pixels, see `pixel_file.folder_of`; None for no files.

    Raises:
      UsageError: if `data.cache` is "host" or "disk" and the splits do not fit.
    """

    def __init__(
        self,
        splits: Mapping[str, pipeline.Split],
        data: ConfigDict,
        *,
        free: int | None = None,
        processes: int = 1,
        folder: Path | None = None,
    ):
        self._splits, self._data, self._folder = splits, data, folder
        self._kept: dict[str, pipeline.Pixels] = {}
        self._free = (memory.free_bytes() if free is None else free) // processes
        self._sizes = {name: pipeline.pixel_bytes(s, data.image_size) for name, s in splits.items()}
        self._places = self._chosen()

    @property
    def description(self) -> str:
        """Says in a line where the images of each split are, and how much of it they take."""
        in_memory, on_disk, visited = (self._in(place) for place in ("host", "disk", "none"))
        taken, filed = (
            memory.gib(sum(self._sizes[name] for name in names)) for names in (in_memory, on_disk)
        )
        line = f"data.cache={self._data.cache}: "
        if in_memory or not on_disk:
            line += f"{taken} of {memory.gib(self._free)} free"
            line += f" for the decoded images of {', '.join(in_memory)}; " if in_memory else "; "
        if on_disk:
            line += f"{filed} in {self._folder} for those of {', '.join(on_disk)}; "
        if visited:
            sizes = [f"{name} ({memory.gib(self._sizes[name])})" for name in visited]
            line += f"decoded at every visit: {', '.join(sizes)}"
        return line.rstrip("; ")

    def pixels(self, name: str) -> pipeline.Pixels:
        """Returns the pixels of a split; they are decoded at the first call if they are kept.

        Raises:
          CannotWrite: if `data.cache` is "disk" and the file cannot be written.
        """
        if name not in self._kept:
            self._kept[name] = self._made(name)
        return self._kept[name]

    def _made(self, name: str) -> pipeline.Pixels:
        split, side, fit = self._splits[name], self._data.image_size, self._data.fit
        if self._places[name] == "disk":
            try:
                return self._mapped(name)
            except OSError as error:
                if error.errno not in staging.NOT_WRITABLE:
                    raise
                reason = f"{self._folder} cannot be written: {error.strerror}"
                if self._data.cache == "disk":
                    raise CannotWrite(
                        f"{reason}: make room there, or give --config.data.cache=auto."
                    ) from error
                LOGGER.warning("%s: the images of %s are decoded at every visit.", reason, name)
        place = "host" if self._places[name] == "host" else "none"
        return pipeline.pixels(split, side, place, fit_mode=fit)

    def _mapped(self, name: str) -> pipeline.Pixels:
        assert self._folder is not None, "nothing is chosen to be in a file without a folder"
        split, side, fit = self._splits[name], self._data.image_size, self._data.fit
        decoded = functools.partial(pipeline.decoded, split, side, fit_mode=fit)
        arrays = pixel_file.open_or_make(
            self._folder, self._content(name), decoded, room=self._disk_room
        )
        return pipeline.gathered(*arrays, at_once=AT_ONCE)

    def _content(self, name: str) -> pixel_file.Content:
        split, data = self._splits[name], self._data
        return pixel_file.Content(
            *(split.fingerprint, name, split.size, len(split.labels), data.image_size, data.fit)
        )

    def _in(self, place: str) -> list[str]:
        return [name for name, chosen in self._places.items() if chosen == place]

    def _chosen(self) -> dict[str, str]:
        """Returns for each split "host", "disk" or "none"."""
        if self._data.cache == "host":
            self._check_room()
        if self._data.cache == "disk":
            self._check_disk()
        if self._data.cache != "auto":
            empty = {name: "none" for name, size in self._sizes.items() if not size}
            return dict.fromkeys(self._splits, self._data.cache) | empty
        places, left = dict[str, str](), FREE_SHARE * self._free
        left_on_disk = min(self._disk_room, DISK_SHARE * self._disk_free())
        for name, size in self._sizes.items():
            if size and self._has_file(name):
                places[name] = "disk"
            elif size <= left:
                places[name] = "host"
                left -= size
            elif size <= left_on_disk:
                places[name] = "disk"
                left_on_disk -= size
            else:
                places[name] = "none"
        return places

    def _has_file(self, name: str) -> bool:
        return self._folder is not None and pixel_file.exists(self._folder, self._content(name))

    @property
    def _disk_room(self) -> int:
        return int(self._data.disk_gib * memory.GIB)

    def _disk_free(self) -> int:
        """Returns the free bytes of the disk: 0 without a folder."""
        if self._folder is None:
            return 0
        above = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        return shutil.disk_usage(above).free

    def _check_disk(self) -> None:
        missing = sum(size for name, size in self._sizes.items() if not self._has_file(name))
        free, needed = self._disk_free(), sum(self._sizes.values())
        if missing > free or needed > self._disk_room:
            raise UsageError(
                f"data.cache=disk would take {memory.gib(needed)} for the decoded images at "
                f"data.image_size={self._data.image_size}, and {self._folder} has "
                f"{memory.gib(free)} free and may take data.disk_gib={self._data.disk_gib:g}: give "
                "--config.data.cache=auto, a smaller data.image_size, or more room."
            )

    def _check_room(self) -> None:
        needed = sum(self._sizes.values())
        if needed > self._free:
            raise UsageError(
                f"data.cache=host would take {memory.gib(needed)} for the decoded images at "
                f"data.image_size={self._data.image_size}, and {memory.gib(self._free)} of memory "
                "are free for this process: give --config.data.cache=auto, a smaller "
                "data.image_size, or more memory."
            )
