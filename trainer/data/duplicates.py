"""Which images are copies: byte for byte, or to the eye after another encoding, size or crop."""

import functools
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BITS = 512
SIDE = 64
# Of 160 radiographs, copies that were recompressed, resized, changed in brightness, contrast or
# gamma, or lost 1 % at each border lie within 87 bits; of two patients among 5,526 radiographs of
# 3,960 the closest are 108 bits apart, and one pair in 100,000 within 145.
NEAR_BITS = 96
BLOCK = 4096


def fingerprint(pixels: np.ndarray) -> bytes:
    """Returns a perceptual hash: the signs of the image's lowest frequencies.

    The image is squashed to 64 x 64, so that a copy of another aspect is found too; the signs are
    those of the coefficients of its cosine transform with the smallest radius, without the mean
    (after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). A
    mirrored or turned copy is another image.

    Args:
      pixels: [H, W, 1] uint8.

    Returns:
      `BITS` bits.
    """
    small = Image.fromarray(pixels[..., 0]).resize((SIDE, SIDE), Image.Resampling.BOX)
    frequencies = dctn(np.asarray(small, np.float32), norm="ortho").ravel()[_lowest()]
    return np.packbits(frequencies > 0).tobytes()


def near_groups(fingerprints: Sequence[bytes], bits: int = NEAR_BITS) -> list[int]:
    """Returns the group of each image; images at most `bits` apart, or linked by such, share one.

    Every pair is compared, in blocks whose memory does not grow with the number of images.
    """
    edges = [np.zeros((2, 0), np.int64), *_close_pairs(fingerprints, bits)]
    first, second = np.concatenate(edges, axis=1)
    count = len(fingerprints)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].tolist() if count else []


def exact_groups(digests: Sequence[Hashable]) -> list[int]:
    """Returns the group of each image; equal digests share one."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(digest, len(numbers)) for digest in digests]


def members(groups: Sequence[int]) -> list[list[int]]:
    """Returns the images of each group that has more than one, in order of their first."""
    found: dict[int, list[int]] = {}
    for image, group in enumerate(groups):
        found.setdefault(group, []).append(image)
    return [images for images in found.values() if len(images) > 1]


@functools.cache
def _lowest() -> np.ndarray:
    """Returns the places of the `BITS` lowest frequencies in a flat [SIDE, SIDE] transform."""
    down, across = np.indices((SIDE, SIDE))
    order = np.lexsort((across.ravel(), down.ravel(), (down**2 + across**2).ravel()))
    return order[1 : 1 + BITS]


def _close_pairs(fingerprints: Sequence[bytes], bits: int) -> Iterator[np.ndarray]:
    """Yields [2, pairs] of images at most `bits` apart.

    With bits as -1 and 1, the distance is (BITS - dot product) / 2, so that a matrix product
    compares all pairs.
    """
    signs = [
        np.unpackbits(np.frombuffer(b"".join(fingerprints[at : at + BLOCK]), np.uint8))
        .reshape(-1, BITS)
        .astype(np.int8)
        * 2
        - 1
        for at in range(0, len(fingerprints), BLOCK)
    ]
    for row, one in enumerate(signs):
        wide = one.astype(np.float32)
        for column, other in enumerate(signs[row:], row):
            close = wide @ other.astype(np.float32).T >= BITS - 2 * bits
            first, second = np.nonzero(np.triu(close, 1) if row == column else close)
            yield np.stack([first + row * BLOCK, second + column * BLOCK])
