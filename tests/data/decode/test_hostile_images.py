"""Damaged and hostile files give an array or a reason: soon, and in little memory."""

import io
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.data.decode.tiff_files import packed_tiff
from trainer.data.decode import limits, radiograph, recode
from trainer.data.decode.limits import LeftOut
from trainer.data.decode.radiograph import Unreadable

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
MOST_SECONDS = 1.0  # for a small file
MOST_MEMORY = 2 * 2**30  # bytes


def file_of(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, bits: int = 8, colour: int = 0, *, extra: bytes = b"") -> bytes:
    """A PNG of zeros; `colour` 0 is grey, 2 RGB, 6 RGBA."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-width * channels * bits // 8))
    rows = [packer.compress(row * min(256, height - top)) for top in range(0, height, 256)]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        + extra
        + chunk(b"IDAT", b"".join(rows) + packer.flush())
        + chunk(b"IEND", b"")
    )


def declared_size(data: bytes, width: int, height: int) -> bytes:
    """The same baseline JPEG with another size in its header."""
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def many_scans(count: int) -> bytes:
    data = file_of(Image.fromarray(RAMP), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def with_rows(rows: int) -> bytes:
    """A PNG of 64x48 whose data hold so many rows."""
    whole = png(64, 48)
    place = whole.index(b"IDAT") - 4
    data = chunk(b"IDAT", zlib.compress(bytes(65) * rows))
    return whole[:place] + data + chunk(b"IEND", b"")


JPEG = file_of(Image.fromarray(RAMP), "JPEG")
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
NOISE = file_of(Image.fromarray(PIXELS), "JPEG")
PROGRESSIVE = file_of(Image.fromarray(PIXELS), "JPEG", progressive=True)
SECOND = Image.fromarray(RAMP)
MPO = file_of(Image.fromarray(RAMP), "MPO", save_all=True, append_images=[SECOND])
MPO = MPO[:-2] + MPO[MPO.rindex(b"\xff\xda") : -2] * 1000 + MPO[-2:]
HOSTILE = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "text": (b"<html>\nNot found\n</html>", "text, not an image"),
    "LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "Git LFS pointer",
    ),
    "noise": (random.Random(0).randbytes(9000), "not an image of a known format"),
    "1x1": (file_of(Image.new("L", (1, 1)), "PNG"), "1x1 pixels"),
    "wide": (png(2000, 20), "at most 8 times the shorter"),
    "JPEG cut off": (JPEG[:-40], "damaged"),
    "JPEG cut, with its end marker": (NOISE[: len(NOISE) // 2] + NOISE[-2:], "premature end"),
    "JPEG of corrupt data": (NOISE[:-400] + b"\xff\x00" * 50 + NOISE[-300:], "damaged"),
    "progressive JPEG cut": (PROGRESSIVE[:-90] + NOISE[-2:], "damaged"),
    "PNG of fewer rows": (with_rows(30), "damaged"),
    "MPO of a thousand scans": (MPO, "scans"),
    "JPEG header alone": (JPEG[:30], "damaged"),
    "PNG cut off": (png(64, 48)[:60], "damaged"),
    "JPEG of 2544x3300 in 700 bytes": (declared_size(JPEG, 2544, 3300)[:700], "2544x3300"),
    "PNG of 2544x3300 in 100 bytes": (png(2544, 3300)[:100], "2544x3300"),
    "PNG of 20000x20000": (png(20000, 20000, bits=1), "million pixels"),
    "PNG of a giant text": (
        png(64, 48, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28)))),
        "damaged",
    ),
    "PNG of a giant profile": (
        png(64, 48, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**28)))),
        "damaged",
    ),
    "JPEG of a thousand scans": (many_scans(1000), "scans"),
    "floating point": (file_of(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "floating"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_are_refused_soon_with_a_reason(name: str):
    data, reason = HOSTILE[name]
    Image.init()  # reading the formats' modules is not the file's doing
    start = time.process_time()
    with pytest.raises(Unreadable, match=reason):
        radiograph.decode(data, 512)
    assert time.process_time() - start < MOST_SECONDS


def test_every_error_of_a_decoder_is_a_reason(monkeypatch: pytest.MonkeyPatch):
    for error in (KeyError("tag"), struct.error("unpack"), MemoryError(), RecursionError("deep")):
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_, error=error: raise_(error))
        with pytest.raises(Unreadable, match="damaged: "):
            radiograph.decode(png(64, 48), 512)


def raise_(error: Exception):
    raise error


def large(kind: str) -> bytes:
    """The costliest files of each format that are still allowed."""
    side = int(limits.MOST_PIXELS**0.5)
    if kind == "PNG":
        return png(side, side, bits=16, colour=6)
    if kind == "TIFF":
        image = Image.new("RGBA", (side, side))
        return file_of(image, "TIFF", compression="tiff_adobe_deflate")
    if kind == "JPEG":
        return file_of(Image.new("CMYK", (side, side)), "JPEG")
    image = Image.new("RGBA", (side, side), (1, 2, 3, 4))
    return file_of(image, "WEBP", lossless=True, quality=0, method=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_the_largest_files_take_less_than_two_gigabytes(kind: str, tmp_path: Path):
    file = tmp_path / "large"
    file.write_bytes(large(kind))
    program = (
        "import sys; from pathlib import Path; from trainer.data.decode import radiograph\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "print(*radiograph.decode(data, 8000).shape)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    side = int(limits.MOST_PIXELS**0.5)
    shape, memory = done.stdout.splitlines()
    assert shape == f"{side} {side} 1"
    assert int(memory) * 1024 < MOST_MEMORY


def whole_files() -> dict[str, bytes]:
    grey, colour = Image.fromarray(RAMP), Image.fromarray(RAMP).convert("RGB")
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "JPEG": file_of(grey, "JPEG", exif=exif),
        "colour JPEG": file_of(colour, "JPEG", progressive=True, icc_profile=b"icc"),
        "CMYK JPEG": file_of(colour.convert("CMYK"), "JPEG"),
        "PNG": file_of(grey, "PNG", exif=exif),
        "PNG of 16 bits": file_of(deep, "PNG"),
        "palette": file_of(grey.convert("P"), "PNG", transparency=3),
        "RGBA": file_of(colour.convert("RGBA"), "PNG"),
        "TIFF": file_of(grey, "TIFF", compression="tiff_lzw"),
        "TIFF of 16 bits": file_of(deep, "TIFF", tiffinfo={0x0112: 6}),
        "TIFF in JPEG": file_of(colour, "TIFF", compression="jpeg"),
        "fax": file_of(grey.convert("1"), "TIFF", compression="group4"),
        "BMP": file_of(colour, "BMP"),
        "GIF": file_of(grey, "GIF"),
        "WEBP": file_of(colour, "WEBP", exif=exif),
        "lossless WEBP": file_of(grey, "WEBP", lossless=True),
        "JPEG 2000": file_of(colour, "JPEG2000"),
        "JPEG 2000 of 16 bits": file_of(deep, "JPEG2000"),
        "PGM": file_of(grey, "PPM"),
        "colour PNG of 16 bits": imagecodecs.png_encode(np.stack([RAMP.astype(np.uint16)] * 3, -1)),
        "JPEG-LS": imagecodecs.jpegls_encode(RAMP),
        "TIFF of 10 bits": packed_tiff(RAMP.astype(int) * 4, 10),
    }


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, many of them in the header, and some files cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        end = len(data) if rng.random() < 0.5 else min(len(data), 200)
        changed[rng.randrange(end)] = rng.choice((0, 0xFF, rng.randrange(256)))
    if rng.random() < 0.2:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "40"))  # files of each kind


@pytest.mark.parametrize("kind", list(whole_files()))
def test_damaged_files_give_an_array_or_a_reason_soon(kind: str):
    data = whole_files()[kind]
    assert radiograph.decode(data, 512).size == RAMP.size
    rng = random.Random(kind)
    refused = 0
    for _ in range(ROUNDS):
        start = time.process_time()
        try:
            pixels = radiograph.decode(damaged(data, rng), 512)
        except Unreadable as reason:
            refused += 1
            assert 0 < len(str(reason)) <= limits.LONGEST_REASON and str(reason).isprintable()
        else:
            assert pixels.ndim == 3 and pixels.dtype == np.uint8 and max(pixels.shape) <= 512
        assert time.process_time() - start < MOST_SECONDS
    assert refused


@pytest.mark.parametrize(
    "data",
    [JPEG + bytes(100), JPEG[:-2] + b"\xff\xff\xff" + JPEG[-2:], PROGRESSIVE, with_rows(48)],
    ids=["bytes behind the end", "fill bytes", "progressive", "PNG"],
)
def test_what_is_no_damage_is_decoded(data: bytes):
    assert radiograph.decode(data, 512).shape == (48, 64, 1)


def test_blank_images_are_not_prepared():
    with pytest.raises(LeftOut, match="blank: every pixel is 0"):
        recode.recode(png(64, 48), 512)
    nearly = np.random.default_rng(0).integers(251, 254, (200, 300), np.uint8)
    nearly[:10, :10] = 0  # a letter in a corner
    with pytest.raises(LeftOut, match="blank: nearly every pixel is 252 of 255"):
        recode.recode(file_of(Image.fromarray(nearly), "PNG"), 512)
    dim = np.random.default_rng(0).integers(30, 40, (200, 300), np.uint8)
    assert recode.recode(file_of(Image.fromarray(dim), "PNG"), 512)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"\x93NUMPY\1\0", "a NumPy array, not an image"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, not an image"),
        (b"\x1f\x8b\x08\0", "a gzip file, perhaps NIfTI, not an image"),
    ],
)
def test_arrays_are_named_and_how_to_get_to_images(start: bytes, reason: str):
    with pytest.raises(Unreadable, match=f"{reason}: save each image as PNG"):
        radiograph.decode(start + bytes(range(256)), 512)


@pytest.mark.parametrize("text", ["", "0\x7f \x00"])
def test_an_error_that_says_nothing_is_named_by_its_kind(text: str):
    with pytest.raises(Unreadable, match="damaged: OSError"), limits.reading():
        raise OSError(text)
