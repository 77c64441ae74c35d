"""JPEG, JPEG-LS and JPEG 2000 codestreams: their size, and the JPEGs that Pillow does not read."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg

from trainer.data.decode.limits import Unreadable

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
J2K_START = b"\xff\x4f\xff\x51"
JP2_HEADER = 256  # bytes in which a codestream inside of a JP2 file begins
# The markers of JPEG and JPEG-LS that a frame's size follows (ITU-T T.81 B.1, T.87 C.1).
JPEG_LS = 0xF7
START_OF_FRAME = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}
FILL = 0xFF  # any number of these may come before a marker (T.81 B.1.1.2)


def size(data: bytes) -> tuple[int, int]:
    """Returns (width, height) as a codestream declares them.

    Bytes may follow the end: DICOM pads to an even length (PS3.5 A.4), and encoders leave others.

    Raises:
      Unreadable: if it declares none, or has no end. CharLS takes seconds to find out the latter.
    """
    start = data.find(J2K_START, 0, JP2_HEADER)
    if start >= 0:
        right, bottom, left, top = struct.unpack(">4I", data[start + 8 : start + 24])
        return right - left, bottom - top
    place = _frame_header(data)
    if JPEG_END not in data[place:]:
        raise Unreadable("damaged: JPEG data without its end")
    height, width = struct.unpack(">HH", data[place + 5 : place + 9])
    return width, height


def is_jpeg_ls(data: bytes) -> bool:
    """Returns whether JPEG data are JPEG-LS."""
    try:
        return data[_frame_header(data) + 1] == JPEG_LS
    except Unreadable:
        return False


def precision(data: bytes) -> int:
    """Returns the bits of the first component of JPEG 2000 (ITU-T T.800 A.5.1)."""
    return (data[data.index(J2K_START, 0, JP2_HEADER) + 42] & 0x7F) + 1


def _frame_header(data: bytes) -> int:
    """Returns where the marker of a JPEG's frame lies."""
    place = len(JPEG_START)
    while place + 9 <= len(data):
        _, marker, length = struct.unpack(">BBH", data[place : place + 4])
        if marker in START_OF_FRAME:
            return place
        place += 1 if marker == FILL else 2 + length
    raise Unreadable("damaged: JPEG data without a frame header")


# libjpeg's warnings of entropy-coded data that end early or are corrupt. It goes on after them,
# with grey or with blocks out of place; of bytes before a marker it warns in other words.
BROKEN = ("premature end", "bad huffman code", "bad arithmetic code", "instead of rst")
LOSSLESS = b"\xff\xc3"  # its frame; in no coded data


def check_jpeg(data: bytes) -> None:
    """Raises Unreadable for a JPEG of 8 bits whose coded data end early or are corrupt.

    Most flips of a single bit decode to another image without any sign of it.
    """
    # Reduced is quicker, but lossless data would be decoded whole into memory for an eighth of it.
    least = 0 if LOSSLESS in data else 1
    _decode_strictly(data, colorspace="GRAY", fastdct=True, min_height=least, min_width=least)


def decode_luma(data: bytes) -> np.ndarray | None:
    """Decodes a JPEG of 8 bits and checks it as `check_jpeg` does, at once.

    Returns:
      The luma, [H, W, 1] uint8, as Pillow and `stored.decode` have it to the last bit; None where
      libjpeg warns of what is no damage, such as bytes before a marker.

    Raises:
      Unreadable: if the coded data end early or are corrupt.
    """
    return _decode_strictly(data, colorspace="GRAY")


def decode_greys(data: bytes) -> np.ndarray | None:
    """Decodes a JPEG in colour, YCbCr or RGB, that shows nothing but greys, as `decode_luma` does.

    Returns:
      The same; None also where it shows a colour.
    """
    colours = _decode_strictly(data, colorspace="RGB")
    if colours is None:
        return None
    values = colours.reshape(-1)
    equal = values[1:] == values[:-1]  # half the time of comparing the colours' planes
    equal[2::3] = True  # the blue of a pixel and the red of the next
    return colours[..., :1].copy() if equal.all() else None


def _decode_strictly(data: bytes, **options: Any) -> np.ndarray | None:
    try:
        return simplejpeg.decode_jpeg(data, **options)
    except ValueError as warning:  # also for colours that it does not convert, which are no damage
        if any(sign in str(warning).lower() for sign in BROKEN):
            raise Unreadable(f"damaged: {warning}") from None
        return None


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decodes JPEG of 8 or 12 bits or lossless: [H, W] grey or [H, W, 3] RGB, uint8 or uint16."""
    return imagecodecs.jpeg8_decode(data)


def decode_jpeg_ls(data: bytes) -> np.ndarray:
    """Decodes JPEG-LS: [H, W] grey or [H, W, 3] colour, uint8 or uint16."""
    return imagecodecs.jpegls_decode(data)


def decode_jpeg_2000(data: bytes) -> np.ndarray:
    """Decodes JPEG 2000, high-throughput or not: [H, W] grey or [H, W, C], of 8 or 16 bits.

    OpenJPEG by way of Pillow fails where the last tile goes on to the end (a length of 0) and a
    byte of padding follows.
    """
    return imagecodecs.jpeg2k_decode(data)
