"""JPEG, JPEG-LS and JPEG 2000 codestreams: their size, and the JPEGs that Pillow does not read."""

import struct

import imagecodecs
import numpy as np
import simplejpeg

from trainer.data.decode.limits import Unreadable

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
J2K_START = b"\xff\x4f\xff\x51"
JP2_HEADER = 256  # bytes in which a codestream inside of a JP2 file begins
# The markers of JPEG and JPEG-LS that a frame's size follows (ITU-T T.81 B.1, T.87 C.1).
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
FILL = 0xFF  # any number of these may come before a marker (T.81 B.1.1.2)


def size(data: bytes) -> tuple[int, int]:
    """Returns (width, height) as a codestream declares them.

    Bytes may follow the end: DICOM pads to an even length (PS3.5 A.4), and encoders leave others.

    Raises:
      Unreadable: if it declares none, or has no end. CharLS takes seconds to find out the latter.
    """
    siz = data.find(J2K_START, 0, JP2_HEADER)
    if siz >= 0:
        right, bottom, left, top = struct.unpack(">4I", data[siz + 8 : siz + 24])
        return right - left, bottom - top
    place = len(JPEG_START)
    while place + 9 <= len(data):
        _, marker, length, _, height, width = struct.unpack(">BBHBHH", data[place : place + 9])
        if marker == FILL:
            place += 1
            continue
        if marker in START_OF_FRAME:
            if JPEG_END not in data[place:]:
                raise Unreadable("damaged: JPEG data without its end")
            return width, height
        place += 2 + length
    raise Unreadable("damaged: JPEG data without a frame header")


# libjpeg's warnings of entropy-coded data that end early or are corrupt. It goes on after them,
# with grey or with blocks out of place; of bytes before a marker it warns in other words.
BROKEN = ("premature end", "bad huffman code", "bad arithmetic code", "instead of rst")


def check_jpeg(data: bytes) -> None:
    """Raises Unreadable for a JPEG of 8 bits whose coded data end early or are corrupt.

    Most flips of a single bit decode to another image without any sign of it.
    """
    try:
        simplejpeg.decode_jpeg(data, colorspace="GRAY", fastdct=True, min_height=1, min_width=1)
    except ValueError as warning:  # also for colours that it does not convert, which are no damage
        if any(sign in str(warning).lower() for sign in BROKEN):
            raise Unreadable(f"damaged: {warning}") from None


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
