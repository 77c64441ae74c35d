"""Where the decoded pixels of each split are kept; what is kept is decoded once."""

import functools
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import data_split, pipeline, pixel_file, staging
from trainer.data.device_cache import DevicePixels
from trainer.system import memory
from trainer.system.errors import CannotWrite, UsageError

LOGGER = logging.getLogger(__name__)

FREE_SHARE = 0.75  # of the free memory; the rest is for batches, activations and the system
DISK_SHARE = 0.5  # of the disk's free bytes that files may take where nobody asked for them
GPU_SHARE = 0.25  # of a GPU's memory; the rest is for the network and its activations
AT_ONCE = 4  # batches that are read from a disk at the same time


class PixelCache:
    """The pixels of each split, kept or read anew at every visit; the batches are the same.

    With `data.cache` "auto", each split in its order is kept on the GPUs if it fits there, else
    mapped from a file that an earlier run has made, else kept in memory if it fits there, else in
    a file if that fits on the disk. Workers of one machine that start together see the same free
    memory: each takes its part of it, and they share files.

    Args:
      splits: by name, train first.
      data: the fields `data.*` of a config.
      free: bytes of memory that are free; by default what this process finds.
      processes: that train on this machine, and share it.
      folder: of the files of decoded pixels, see `pixel_file.folder_of`; None for no files.
      strategy: of the replicas, whose devices may keep the pixels; None for no devices.

    Raises:
      UsageError: if `data.cache` is "device", "host" or "disk" and the splits do not fit.
    """

    def __init__(
        self,
        splits: Mapping[str, data_split.Split],
        data: ConfigDict,
        *,
        free: int | None = None,
        processes: int = 1,
        folder: Path | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._splits, self._data, self._folder = splits, data, folder
        self._strategy = strategy
        self._kept: dict[str, pipeline.Pixels | DevicePixels] = {}
        self._free = (memory.free_bytes() if free is None else free) // processes
        self._sizes = {name: pipeline.pixel_bytes(s, data.image_size) for name, s in splits.items()}
        self._places = self._chosen()

    @property
    def description(self) -> str:
        """Says in a line where the images of each split are, and how much of it they take."""
        placed = [self._in(place) for place in ("device", "host", "disk", "none")]
        on_device, in_memory, on_disk, visited = placed
        loaded, taken, filed, _ = (
            memory.gib(sum(self._sizes[name] for name in names)) for names in placed
        )
        line = f"data.cache={self._data.cache}: "
        if on_device:
            room = f" of {memory.gib(self._device_room)}" if self._device_room else ""
            kinds = self._devices
            where = f"the {kinds[0]}" if len(kinds) == 1 else f"each of {len(kinds)} {kinds[0]}s"
            line += f"{loaded}{room} on {where} for the decoded images of {', '.join(on_device)}; "
        if in_memory or not (on_device or on_disk):
            line += f"{taken} of {memory.gib(self._free)} free"
            line += f" for the decoded images of {', '.join(in_memory)}; " if in_memory else "; "
        if on_disk:
            line += f"{filed} in {self._folder} for those of {', '.join(on_disk)}; "
        if visited:
            sizes = [f"{name} ({memory.gib(self._sizes[name])})" for name in visited]
            line += f"decoded at every visit: {', '.join(sizes)}"
        return line.rstrip("; ")

    def pixels(self, name: str) -> pipeline.Pixels | DevicePixels:
        """Returns the pixels of a split; they are decoded at the first call if they are kept.

        Raises:
          CannotWrite: if `data.cache` is "disk" and the file cannot be written.
        """
        if name not in self._kept:
            self._kept[name] = self._made(name)
        return self._kept[name]

    def _made(self, name: str) -> pipeline.Pixels | DevicePixels:
        split, side, fit = self._splits[name], self._data.image_size, self._data.fit
        if self._places[name] == "device":
            assert self._strategy is not None, "nothing is chosen to be on devices without them"
            return DevicePixels(*self._arrays(name), self._strategy)
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

    def _arrays(self, name: str) -> pixel_file.Arrays:
        """Returns what a file of an earlier run holds, else decodes it."""
        if self._folder is not None:
            with suppress(pixel_file.Damaged):
                if found := pixel_file.open_mapped(self._folder, self._content(name)):
                    return found
        return pipeline.arrays(self._splits[name], self._data.image_size, fit_mode=self._data.fit)

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
        """Returns for each split "device", "host", "disk" or "none"."""
        if self._data.cache == "device":
            self._check_device()
        if self._data.cache == "host":
            self._check_room()
        if self._data.cache == "disk":
            self._check_disk()
        if self._data.cache != "auto":
            empty = {name: "none" for name, size in self._sizes.items() if not size}
            return dict.fromkeys(self._splits, self._data.cache) | empty
        places, left = dict[str, str](), FREE_SHARE * self._free
        left_on_disk = min(self._disk_room, DISK_SHARE * self._disk_free())
        left_on_gpu = GPU_SHARE * self._device_room if "GPU" in self._devices else 0
        for name, size in self._sizes.items():
            if 0 < size <= left_on_gpu and (self._has_file(name) or size <= left):
                places[name] = "device"
                left_on_gpu -= size
            elif size and self._has_file(name):
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

    @functools.cached_property
    def _devices(self) -> list[str]:
        """The kinds of this worker's devices."""
        if self._strategy is None:
            return []
        if isinstance(self._strategy, tf.distribute.TPUStrategy):
            return ["TPU"] * self._strategy.num_replicas_in_sync
        names = self._strategy.extended.worker_devices
        return [tf.DeviceSpec.from_string(name).device_type for name in names]

    @functools.cached_property
    def _device_room(self) -> int:
        """Bytes that a device has for the pixels; 0 where that is not known."""
        return {"CPU": lambda: self._free, "GPU": memory.gpu_bytes, "TPU": lambda: 0}[
            self._devices[0]
        ]()

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

    def _check_device(self) -> None:
        needed = sum(self._sizes.values())
        if self._device_room and needed > self._device_room:
            raise UsageError(
                f"data.cache=device would take {memory.gib(needed)} for the decoded images at "
                f"data.image_size={self._data.image_size}, and {memory.gib(self._device_room)} are "
                f"there on a {self._devices[0]}: give --config.data.cache=auto, a smaller "
                "data.image_size, or more memory."
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
