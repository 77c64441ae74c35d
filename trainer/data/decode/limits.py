"""What a file must be to be read as a radiograph, whichever its format."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SMALLEST_SIDE = 16
MOST_ELONGATED = 8
# Twice the largest detectors. Decoding that many takes 1.6 GiB at worst (colour DICOM).
MOST_PIXELS = 50_000_000
LONGEST_REASON = 160


class Unreadable(Exception):
    """Why a file is no radiograph that can be used, in a few words."""


def check_size(width: int, height: int) -> None:
    """Raises Unreadable if no radiograph has that many pixels, before memory is taken for them."""
    said = f"{width}x{height} pixels"
    if min(width, height) < SMALLEST_SIDE:
        raise Unreadable(f"{said}; the smallest side allowed is {SMALLEST_SIDE}")
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{said}, more than {MOST_PIXELS // 10**6} million pixels")
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise Unreadable(f"{said}; at most {MOST_ELONGATED} times as long as wide is allowed")


@contextmanager
def reading() -> Iterator[None]:
    """Turns whatever a decoder raises on a damaged file into Unreadable, and mutes its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Unreadable:
            raise
        # Broad, as decoders raise nearly everything on damaged files: OSError, SyntaxError,
        # KeyError, struct.error, zlib.error, OverflowError, RecursionError, MemoryError.
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise Unreadable(f"damaged: {said}"[:LONGEST_REASON]) from None
