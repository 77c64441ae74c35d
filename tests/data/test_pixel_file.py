"""A file of decoded pixels is whole, verified, made once, and makes room for newer ones."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainer.data import pixel_file
from trainer.data.pixel_file import Arrays, Content

ROOM = 2**30
IMAGES, LABELS, SIDE = 130, 3, 5
PIXELS = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 1), np.uint8)
KNOWN = np.arange(IMAGES * LABELS, dtype=np.float32).reshape(IMAGES, LABELS)


def content(side: int = SIDE, fingerprint: str = "f" * 64) -> Content:
    return Content(fingerprint, "train", IMAGES, LABELS, side, "pad")


def decoded() -> Iterator[Arrays]:
    for start in range(0, IMAGES, 64):
        yield PIXELS[start : start + 64], KNOWN[start : start + 64]


def undecoded() -> Iterator[Arrays]:
    raise AssertionError("a file that is there is decoded again")


def make(folder: Path, wanted: Content | None = None) -> Path:
    wanted = wanted or content()
    pixel_file.open_or_make(folder, wanted, decoded, room=ROOM)
    return folder / wanted.name


def test_a_file_holds_what_was_decoded_and_is_decoded_once(tmp_path: Path):
    for parts in (decoded, undecoded):
        images, labels = pixel_file.open_or_make(tmp_path / "new", content(), parts, room=ROOM)
        np.testing.assert_array_equal(images, PIXELS)
        np.testing.assert_array_equal(labels, KNOWN)
        assert not images.ctypes.data % 64 and not labels.ctypes.data % 64


def test_what_is_written_to_the_mapped_memory_reaches_no_file(tmp_path: Path):
    before = make(tmp_path).read_bytes()
    images, _ = pixel_file.open_or_make(tmp_path, content(), undecoded, room=ROOM)
    images[:] = 7
    assert (tmp_path / content().name).read_bytes() == before


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0, "header"),
        (300, "header"),
        (pixel_file.HEADER + 1, "image 0 is not"),
        (content().tail - 20, "image 129 is not"),
        (content().tail, "labels"),
        (content().bytes - 1, "labels"),
        (None, "bytes, and not"),
    ],
)
def test_a_damaged_file_is_noticed_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: int | None, reason: str
):
    file = make(tmp_path)
    before = damaged = bytearray(file.read_bytes())
    if place is None:
        damaged = before[:-1]
    else:
        damaged = bytearray(before)
        damaged[place] ^= 1
    file.write_bytes(damaged)
    images, _ = pixel_file.open_or_make(tmp_path, content(), decoded, room=ROOM)
    np.testing.assert_array_equal(images, PIXELS)
    assert file.read_bytes() == before
    (message,) = caplog.messages
    assert str(file) in message and "is made anew" in message and reason in message


def test_another_decoder_makes_a_file_anew(tmp_path: Path):
    make(tmp_path)
    other = Content(*list(vars(content()).values())[:-1], decoder="Pillow 0")
    with pytest.raises(pixel_file.Damaged):
        pixel_file.open_mapped(tmp_path, other)


def test_decoding_that_fails_leaves_nothing(tmp_path: Path):
    def failing() -> Iterator[Arrays]:
        yield PIXELS[:64], KNOWN[:64]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        pixel_file.open_or_make(tmp_path, content(), failing, room=ROOM)
    assert [file.name for file in tmp_path.iterdir()] == [f"{content().name}.lock"]


def test_of_those_that_ask_at_once_one_decodes(tmp_path: Path):
    begun, may_go_on, results = threading.Event(), threading.Event(), []

    def slow() -> Iterator[Arrays]:
        begun.set()
        may_go_on.wait(10)
        yield from decoded()

    def ask(parts) -> None:
        results.append(pixel_file.open_or_make(tmp_path, content(), parts, room=ROOM))

    first = threading.Thread(target=ask, args=(slow,))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=ask, args=(undecoded,))
    second.start()
    may_go_on.set()
    first.join()
    second.join()
    assert len(results) == 2


def test_the_file_that_was_not_used_for_longest_makes_room_and_foreign_ones_stay(tmp_path: Path):
    wanted = [content(fingerprint=str(number) * 64) for number in range(4)]
    files = [make(tmp_path, one) for one in wanted[:3]]
    for age, file in zip((30, 10, 20), files, strict=True):
        os.utime(file, (1e9 - age, 1e9 - age))
    pixel_file.open_mapped(tmp_path, wanted[0])  # now it is the newest
    foreign = tmp_path / "notes.pixels"
    left = tmp_path / f"{content().name}.partial"
    for file in (foreign, left):
        file.write_bytes(b"0" * 10**6)
    mapped = pixel_file.open_mapped(tmp_path, wanted[2])
    os.utime(files[2], (1e9 - 20, 1e9 - 20))
    pixel_file.open_or_make(tmp_path, wanted[3], decoded, room=3 * content().bytes)
    kept = [one.file for one in pixel_file.listed(tmp_path)]
    assert kept == [files[1], files[0], tmp_path / wanted[3].name]
    assert foreign.exists() and not left.exists()
    np.testing.assert_array_equal(mapped[0], PIXELS)  # a run that has it keeps it


def test_files_lie_in_the_data_set_where_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    in_cache = tmp_path / "cache/radiograph-trainer/pixels"
    assert pixel_file.folder_of(tmp_path) == tmp_path / "pixels"
    assert pixel_file.folder_of("gs://bucket/data") == in_cache
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert pixel_file.folder_of(tmp_path) == in_cache
