"""Copies that were turned or mirrored, as augmented sets hold them beside their originals."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from trainer.data import duplicates

# A copy that was turned by up to 11 degrees lies within 1.25 of one of these, which changes some 75
# bits of a fingerprint: all of 54 radiographs, turned, half of them mirrored, shrunk and compressed
# again, were found. Of 5,526 no two of different patients come within 120 bits under any turn.
ANGLES = (-10.0, -7.5, -5.0, -2.5, 2.5, 5.0, 7.5, 10.0)
SIDE = 128  # pixels at which an image is turned
# Bytes of a fingerprint that are compared first. Of lower frequencies too many are alike in all
# chests, and higher ones change more with the angle: 1 in 1,000 pairs is left.
FIRST = slice(24, 40)
FIRST_NEAR = 40  # bits of these; of copies within NEAR_BITS some 24 differ
BLOCK = 512  # images that are compared with all before them at once
PAIRS = 2**20  # that are compared whole at once


def turned_fingerprints(pixels: np.ndarray) -> bytes:
    """Returns the fingerprints of an image turned by each of `ANGLES`, one after the other.

    Args:
      pixels: [H, W, 1] uint8.
    """
    image = Image.fromarray(pixels[..., 0])
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    turned = [image.rotate(angle, Image.Resampling.BILINEAR) for angle in ANGLES]
    return duplicates.fingerprints(turned).tobytes()


def groups(
    near: Sequence[int], fingerprints: Sequence[bytes], turned: Sequence[bytes]
) -> list[int]:
    """Returns the group of each image; near copies, also once one is turned or mirrored, share one.

    Every pair is compared under the eight symmetries of the square, under rotations by `ANGLES`,
    and under these of the mirrored image.

    Args:
      near: the group of each image as it is, see `duplicates.near_groups`.
      fingerprints: of each image.
      turned: the result of `turned_fingerprints` for each.
    """
    import faiss  # decoder processes do without it

    if not fingerprints:
        return []
    rows = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), -1)
    # Those of equal fingerprints are in one near group: the first stands for them.
    first = np.unique(rows, axis=0, return_index=True)[1]
    different, rotated = rows[first], [turned[image] for image in first]
    found_groups = np.array(duplicates.exact_groups(np.asarray(near)[first].tolist()))
    index = faiss.IndexBinaryFlat(8 * (FIRST.stop - FIRST.start))
    for at in range(0, len(different), BLOCK):
        block = different[at : at + BLOCK]
        index.add(np.ascontiguousarray(block[:, FIRST]))
        for queries in _variants(block, b"".join(rotated[at : at + BLOCK])):
            limits, _, found = index.range_search(
                np.ascontiguousarray(queries[:, FIRST]), FIRST_NEAR + 1
            )
            own = np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64)))
            for start in range(0, len(own), PAIRS):
                one, other = own[start : start + PAIRS], found[start : start + PAIRS]
                bits = np.bitwise_count(queries[one] ^ different[other]).sum(axis=1, dtype=int)
                close = bits <= duplicates.NEAR_BITS
                found_groups = duplicates.joined(found_groups, at + one[close], other[close])
    group_of_near = dict(zip(np.asarray(near)[first].tolist(), found_groups.tolist(), strict=True))
    return duplicates.exact_groups([group_of_near[group] for group in near])


def _variants(block: np.ndarray, rotated: bytes) -> Iterator[np.ndarray]:
    """Yields the fingerprints, [n, B / 8], of images under each symmetry and rotation."""
    across, down, order = _symmetries()
    transposed = np.packbits(np.unpackbits(block, axis=1)[:, order], axis=1)
    yield from (block ^ across, block ^ down, block ^ across ^ down)
    yield from (transposed, transposed ^ across, transposed ^ down, transposed ^ across ^ down)
    by_angle = np.frombuffer(rotated, np.uint8).reshape(len(block), len(ANGLES), -1)
    for number in range(len(ANGLES)):
        yield by_angle[:, number]
        yield by_angle[:, number] ^ across


@functools.cache
def _symmetries() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the bits that change where an image is mirrored, and their order if transposed.

    Mirrored, a cosine transform changes the sign of its odd frequencies; transposed, it is
    transposed. Of the few bits whose partner is not in the fingerprint each stays where it is.
    """
    down, across = np.divmod(duplicates.lowest_frequencies(), duplicates.SIDE)
    place = {pair: n for n, pair in enumerate(zip(down.tolist(), across.tolist(), strict=True))}
    order = [place.get((right, low), n) for (low, right), n in place.items()]
    return np.packbits(across % 2), np.packbits(down % 2), np.array(order)
