"""TIFFs of any depth, byte order, polarity and order of planes."""

import struct

import numpy as np


def packed_tiff(values: np.ndarray, bits: int, order: str = "<", **tags: int) -> bytes:
    """A TIFF of one uncompressed strip a plane.

    Args:
      values: [H, W] or [H, W, C].
      bits: of each value.
      order: "<" or ">".
      tags: photometric (1, or 2 for colour), planar (2 for separate planes), orientation, extra.
    """
    values = values if values.ndim == 3 else values[..., None]
    height, width, components = values.shape
    separate = tags.get("planar") == 2
    planes = np.moveaxis(values, -1, 0) if separate else [values.reshape(height, -1)]
    strips = [_packed(plane, bits, order) for plane in planes]
    numbers = {256: [width], 257: [height], 258: [bits] * components, 259: [1]}
    numbers |= {262: [tags.get("photometric", 2 if components > 2 else 1)], 277: [components]}
    numbers |= {274: [tags.get("orientation", 1)], 278: [height], 284: [tags.get("planar", 1)]}
    if "extra" in tags:
        numbers[338] = [tags["extra"]]
    numbers |= {279: [len(strip) for strip in strips], 273: [0] * len(strips)}
    directory = 8 + 2 + 12 * len(numbers) + 4
    lists = directory + sum(4 * len(n) for n in numbers.values() if len(n) > 1)
    numbers[273] = [lists + sum(map(len, strips[:n])) for n in range(len(strips))]
    entries, extra = b"", b""
    for tag, found in sorted(numbers.items()):
        packed = struct.pack(f"{order}{len(found)}I", *found)
        if len(found) > 1:
            place = struct.pack(f"{order}I", directory + len(extra))
            extra, packed = extra + packed, place
        entries += struct.pack(f"{order}HHI", tag, 4, len(found)) + packed
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    count = struct.pack(f"{order}H", len(numbers))
    return start + count + entries + bytes(4) + extra + b"".join(strips)


def _packed(values: np.ndarray, bits: int, order: str) -> bytes:
    """Rows of values, the highest bit first, but for whole words in their byte order."""
    if bits in (8, 16):
        return values.astype(f"{order}u{bits // 8}").tobytes()
    places = np.arange(bits - 1, -1, -1)
    single = (values[..., None].astype(int) >> places & 1).astype(np.uint8)
    return np.packbits(single.reshape(len(values), -1), axis=1).tobytes()
