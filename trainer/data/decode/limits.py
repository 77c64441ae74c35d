"""Limits of what is read as a radiograph, whatever its format."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

SMALLEST_SIDE = 16
MOST_ELONGATED = 8
# Twice the largest detectors. Decoding that many takes 1.6 GiB at worst (colour DICOM).
MOST_PIXELS = 50_000_000
LONGEST_REASON = 160
# How decoders say that a file may well be sound.
UNSUPPORTED = re.compile("not (supported|implemented|available)|unsupported", re.IGNORECASE)


class Unreadable(Exception):
    """A file cannot be used as a radiograph; the message is the reason, in a few words."""


class LeftOut(Unreadable):
    """A sound file that is not asked for, such as a lateral view."""


def check_size(width: int, height: int) -> None:
    """Raises Unreadable for a size that no radiograph has, before memory is allocated for it."""
    size = f"{width}x{height} pixels"
    if min(width, height) < SMALLEST_SIDE:
        raise Unreadable(f"{size}; the smallest side allowed is {SMALLEST_SIDE}")
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{size}, more than {MOST_PIXELS // 10**6} million pixels")
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise Unreadable(
            f"{size}; the longer side may be at most {MOST_ELONGATED} times the shorter"
        )


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
            reason = " ".join(str(error).split())
            if not reason or not reason.isprintable():  # libpng's may be of freed memory
                reason = type(error).__name__
            kind = "not supported" if UNSUPPORTED.search(reason) else "damaged"
            raise Unreadable(f"{kind}: {reason}"[:LONGEST_REASON]) from None
