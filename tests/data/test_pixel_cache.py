"""Decoded pixels are kept where they fit, in one array, and give the same batches anywhere."""

import errno
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from etils import epath

from tests.forks import Forks
from trainer.config.schema import default
from trainer.data import data_split, pipeline, pixel_file, summary_file
from trainer.data.pixel_cache import FREE_SHARE, PixelCache
from trainer.system import memory
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.memory import GIB

SIDE = 1024  # pixels; a split of 1024 images takes a GiB
SPLITS = {
    name: SimpleNamespace(size=1024 * gib, labels=["SICK"], fingerprint="0" * 64)
    for name, gib in (("train", 8), ("validation", 1), ("test", 1))
}

PEAK = """
import sys
import numpy as np
from trainer.data import data_split, pipeline
from trainer.system.memory import peak_bytes

path, side, copies = sys.argv[1], 512, 16
split = data_split.open_split(path, "train")
pipeline.pixels(data_split.open_split(path, "validation"), side, "host")  # loads what decodes
many = data_split.Split(
    "train", copies * split.size, split.labels, split.classes, split.counts,
    lambda numbers: split.read(numbers % split.size),
)
before = peak_bytes()
kept = pipeline.pixels(many, side, "host")
print((peak_bytes() - before) / pipeline.pixel_bytes(many, side))
"""


def cache(
    mode: str,
    free_gib: float,
    processes: int = 1,
    *,
    folder: Path | None = None,
    disk_gib: float = 100,
    devices: Sequence[str] = (),
) -> PixelCache:
    config = default().data
    config.cache, config.image_size, config.disk_gib = mode, SIDE, disk_gib
    free = int(free_gib * GIB)
    extended = SimpleNamespace(worker_devices=[f"/device:{name}" for name in devices])
    strategy = SimpleNamespace(extended=extended) if devices else None
    return PixelCache(
        SPLITS, config, free=free, processes=processes, folder=folder, strategy=strategy
    )


@pytest.mark.parametrize(
    ("mode", "gpu_gib", "free_gib", "devices", "kept"),
    [
        (
            "auto",
            41,
            20,
            ["GPU:0"],
            "10.00 GiB of 41.00 GiB on the GPU for .* train, valid.*, test",
        ),
        ("auto", 41, 20, ["GPU:0", "GPU:1"], "on each of 2 GPUs for .* of train, validation, test"),
        ("auto", 10, 20, ["GPU:0"], "2.00 GiB of 10.00 .* of validation, test; 8.* free .* train"),
        ("auto", 41, 9, ["GPU:0"], "of validation, test; decoded at every visit: train"),
        ("auto", 41, 20, ["CPU:0"], "auto: 10.00 GiB of 20.00 GiB free for .* train, validation"),
        (
            "device",
            10.1,
            0,
            ["GPU:0"],
            "10.00 GiB of 10.10 GiB on the GPU for .* train, validation",
        ),
        (
            "device",
            0,
            10.1,
            ["CPU:0"],
            "10.00 GiB of 10.10 GiB on the CPU for .* train, validation",
        ),
    ],
)
def test_a_gpu_keeps_what_takes_little_of_it_and_any_device_what_it_has_to(
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    gpu_gib: float,
    free_gib: float,
    devices: list[str],
    kept: str,
):
    monkeypatch.setattr(memory, "gpu_bytes", lambda: gpu_gib * GIB)
    description = cache(mode, free_gib, devices=devices).description
    assert re.search(kept, description), description


def test_a_device_that_is_too_small_is_named():
    with pytest.raises(UsageError, match=r"device would .* 10\.00 GiB .* 9\.90 GiB .*=auto"):
        cache("device", 9.9, devices=["CPU:0"])


@pytest.mark.parametrize(
    ("free_gib", "processes", "kept"),
    [
        (10.1 / FREE_SHARE, 1, "for the decoded images of train, validation, test"),
        (9.1 / FREE_SHARE, 1, "of train, validation; decoded at every visit: test (1.00 GiB)"),
        (7.9 / FREE_SHARE, 1, "of validation, test; decoded at every visit: train (8.00 GiB)"),
        (10.1 / FREE_SHARE, 2, "of validation, test; decoded at every visit: train (8.00 GiB)"),
        (0.1, 1, "free; decoded at every visit: train (8.00 GiB), validation"),
    ],
)
def test_what_fits_is_kept_and_a_line_says_what(free_gib: float, processes: int, kept: str):
    assert kept in cache("auto", free_gib, processes).description


def test_what_has_to_be_kept_and_does_not_fit_is_refused_before_it_is_decoded():
    assert "train, validation, test" in cache("host", 10.1).description
    with pytest.raises(UsageError, match=r"10\.00 GiB .* 9\.90 GiB .*=auto"):
        cache("host", 9.9)
    assert "decoded at every visit: train" in cache("none", 100).description


@pytest.mark.parametrize(
    ("free_gib", "disk_free_gib", "places"),
    [
        (100, 100, "of train, validation, test"),
        (4, 100, "of validation, test; 8.00 GiB in {} for those of train"),
        (4, 10, "of validation, test; decoded at every visit: train (8.00 GiB)"),
        (0, 100, "auto: 10.00 GiB in {} for those of train, validation, test"),
    ],
)
def test_what_memory_has_no_room_for_is_kept_on_the_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_gib: float,
    disk_free_gib: float,
    places: str,
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk_free_gib * GIB))
    found = cache("auto", free_gib, folder=tmp_path / "pixels")
    assert found.description.endswith(places.format(tmp_path / "pixels"))


@pytest.mark.parametrize(("disk_free_gib", "disk_gib"), [(9.9, 100), (100, 9.9)])
def test_a_file_that_is_asked_for_and_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk_free_gib: float, disk_gib: float
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk_free_gib * GIB))
    with pytest.raises(UsageError, match=r"10\.00 GiB .*=auto"):
        cache("disk", 100, folder=tmp_path / "pixels", disk_gib=disk_gib)


def test_a_disk_that_cannot_be_written_is_refused_or_done_without(
    phantoms: epath.Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def full(*_, **__) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pixel_file, "open_or_make", full)
    splits = {"validation": data_split.open_split(phantoms, "validation")}
    data = default().data
    data.image_size, data.cache = 24, "disk"
    with pytest.raises(CannotWrite, match=r"pixels cannot be written: No space .*cache=auto"):
        PixelCache(splits, data, free=0, folder=tmp_path / "pixels").pixels("validation")
    data.cache = "auto"
    kept = PixelCache(splits, data, free=0, folder=tmp_path / "pixels").pixels("validation")
    assert kept.size == splits["validation"].size
    sentence = "No space left on device: the images of validation are decoded at"
    assert sum(sentence in message for message in caplog.messages) == 1


def test_a_file_of_an_earlier_run_is_taken_before_memory(phantoms: epath.Path, tmp_path: Path):
    splits = {"validation": data_split.open_split(phantoms, "validation")}
    data = default().data
    data.image_size, data.cache = 24, "disk"
    PixelCache(splits, data, folder=tmp_path).pixels("validation")
    data.cache = "auto"
    assert (
        f"in {tmp_path} for those of val" in PixelCache(splits, data, folder=tmp_path).description
    )


def test_wherever_pixels_are_kept_the_batches_are_the_same(phantoms: epath.Path, tmp_path: Path):
    splits = {name: data_split.open_split(phantoms, name) for name in summary_file.SPLITS}
    config, runs = default().data, []
    config.image_size = 24
    for mode, free in (
        ("none", GIB),
        ("host", GIB),
        ("disk", 0),
        ("disk", 0),
        ("auto", GIB),
        ("auto", 0),
    ):
        config.cache = mode
        kept = PixelCache(splits, config, free=free, folder=(mode == "disk" and tmp_path) or None)
        assert kept.pixels("train") is kept.pixels("train")
        training = pipeline.train_batches(kept.pixels("train"), 8, seed=3, epochs=2)
        runs.append([*training, *pipeline.evaluation_batches(kept.pixels("test"), 8)])
    assert len(runs[0]) == pipeline.steps(168, 8) + pipeline.steps(28, 8)
    for other in runs[1:]:
        for batch, same in zip(runs[0], other, strict=True):
            for name in batch:
                np.testing.assert_array_equal(batch[name], same[name])


def test_pixels_in_memory_take_no_more_than_their_array_at_any_time(
    phantoms: epath.Path, forks: Forks
):
    done = forks.run("-c", PEAK, phantoms)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < 1.6  # a part of it are batches on their way
