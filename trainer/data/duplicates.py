"""Which images are copies: byte for byte, or to the eye after another encoding, size or crop."""

import functools
from collections.abc import Hashable, Sequence

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
BLOCK = 256  # images that are compared with all before them at once


def fingerprint(pixels: np.ndarray) -> bytes:
    """Returns a perceptual hash: the signs of the image's lowest frequencies.

    The image is squashed to 64 x 64, so that a copy of another aspect is found too; the signs are
    those of the coefficients of its cosine transform with the smallest radius, without the mean
    (after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). A
    mirrored or turned copy is another image; the audit looks for these too.

    Args:
      pixels: [H, W, 1] uint8.

    Returns:
      `BITS` bits.
    """
    return fingerprints([Image.fromarray(pixels[..., 0])]).tobytes()


def fingerprints(images: Sequence[Image.Image]) -> np.ndarray:
    """Returns the fingerprints of grey images, [n, BITS / 8] uint8."""
    small = [image.resize((SIDE, SIDE), Image.Resampling.BOX) for image in images]
    stack = np.stack([np.asarray(image, np.float32) for image in small])
    frequencies = dctn(stack, axes=(1, 2), norm="ortho").reshape(len(images), -1)
    return np.packbits(frequencies[:, lowest_frequencies()] > 0, axis=1)


def near_groups(fingerprints: Sequence[bytes], bits: int = NEAR_BITS) -> list[int]:
    """Returns the group of each image; images at most `bits` apart, or linked by such, share one.

    Every pair of different fingerprints is compared; memory does not grow with the pairs.
    """
    import faiss  # decoder processes do without it

    if not fingerprints:
        return []
    rows = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(len(fingerprints), -1)
    different, place = np.unique(rows, axis=0, return_inverse=True)
    groups, index = np.arange(len(different)), faiss.IndexBinaryFlat(BITS)
    for at in range(0, len(different), BLOCK):
        block = different[at : at + BLOCK]
        index.add(block)
        limits, _, found = index.range_search(block, bits + 1)  # those nearer than that
        images = np.repeat(np.arange(at, at + len(block)), np.diff(limits.astype(np.int64)))
        groups = joined(groups, images, found)
    return exact_groups(groups[place].tolist())


def nearest(fingerprints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns by how many bits each image differs from the nearest of others, [n] int.

    Args:
      fingerprints: [n, BITS / 8] uint8.
      others: [m, BITS / 8] uint8; without any, all are `BITS` apart.
    """
    import faiss  # decoder processes do without it

    if not len(others) or not len(fingerprints):
        return np.full(len(fingerprints), BITS)
    index = faiss.IndexBinaryFlat(BITS)
    index.add(others)
    return index.search(fingerprints, 1)[0][:, 0]


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
def lowest_frequencies() -> np.ndarray:
    """Returns the places of the `BITS` lowest frequencies in a flat [SIDE, SIDE] transform."""
    down, across = np.indices((SIDE, SIDE))
    order = np.lexsort((across.ravel(), down.ravel(), (down**2 + across**2).ravel()))
    return order[1 : 1 + BITS]


def joined(groups: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the group of each image after those of the pairs are joined.

    Args:
      groups: the group of each image, 0 to n.
      first: an image of each pair.
      second: the other.
    """
    first, second = groups[first], groups[second]
    apart = first != second
    if not apart.any():
        return groups
    edges = np.ones(np.count_nonzero(apart), bool), (first[apart], second[apart])
    graph = coo_array(edges, shape=(len(groups), len(groups)))
    return connected_components(graph, directed=False)[1][groups]
