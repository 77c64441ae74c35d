"""How images look, in a few numbers, and how far that is from how a training set looks."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

COARSE, FINE = 8, 16  # tiles across an image: of edges, of grey values
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)  # symmetric, so that a negative reverses them
SCALES = 4  # each of twice the pixels of the one before
SAMPLED = 40  # pixels across of which quantiles are taken
COMPONENTS = 30  # of the covariance, kept with a variance of their own
LEAST = 1e-3  # deviation of a grey value from 0 to 1


class Looks(NamedTuple):
    """What n images look like.

    Attributes:
      grey: mean of each tile, [n, FINE, FINE] float32 in 0..1.
      edges: logarithm of the mean gradient in each tile, [n, COARSE, COARSE] float32.
      quantiles: of the grey values, [n, 7] float32.
      detail: logarithm of what each halving of the side takes away, [n, SCALES] float32.
    """

    grey: np.ndarray
    edges: np.ndarray
    quantiles: np.ndarray
    detail: np.ndarray

    def negative(self) -> "Looks":
        """Returns the looks of the negatives of the images."""
        return self._replace(grey=1 - self.grey, quantiles=1 - self.quantiles[:, ::-1])

    def rotated(self, quarters: int) -> "Looks":
        """Returns the looks of the images rotated by as many quarter turns."""
        grey, edges = (np.rot90(maps, quarters, (1, 2)) for maps in (self.grey, self.edges))
        return self._replace(grey=grey, edges=edges)

    def table(self) -> np.ndarray:
        """Returns all as one row an image, [n, d] float32; grey without brightness and contrast."""
        count = len(self.grey)
        grey = self.grey.reshape(count, -1)
        grey = (grey - grey.mean(1, keepdims=True)) / (grey.std(1, keepdims=True) + LEAST)
        edges = self.edges.reshape(count, -1)
        return np.concatenate([grey, edges, self.quantiles, self.detail], 1).astype(np.float32)


def looks(images: np.ndarray) -> Looks:
    """Returns what images look like, [n, S, S, 1] uint8 with S of 16 or more."""
    halves, detail = _halves(images[..., 0].astype(np.float32) / 255)
    pixels = halves[0]  # a quarter of them tells nearly as much in a quarter of the time
    across = np.abs(np.diff(pixels, axis=2))[:, :-1]
    down = np.abs(np.diff(pixels, axis=1))[:, :, :-1]
    step = max(1, pixels.shape[1] // SAMPLED)
    sample = np.sort(pixels[:, ::step, ::step].reshape(len(pixels), -1), axis=1)
    ranks = np.rint(np.array(QUANTILES) * (sample.shape[1] - 1)).astype(int)
    return Looks(
        _tiles(pixels, FINE),
        np.log(_tiles(across + down, COARSE) + LEAST),
        sample[:, ranks],
        detail,
    )


@dataclass(frozen=True)
class Likeness:
    """The looks of a training set, as a Gaussian of which the largest components are kept.

    Attributes:
      mean: [d] of the rows of `Looks.table`.
      deviation: [d] of these.
      components: [k, d], orthonormal.
      variances: [k] along them.
      rest: variance along each other direction.
    """

    mean: np.ndarray
    deviation: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float

    @classmethod
    def fit(cls, table: np.ndarray) -> "Likeness":
        """Returns the likeness to images, from their rows [n, d] float32."""
        mean, deviation = table.mean(0), table.std(0) + LEAST
        scaled = (table - mean) / deviation
        kept = min(COMPONENTS, len(table) // 2)
        _, sizes, components = np.linalg.svd(scaled, full_matrices=False)
        variances = sizes**2 / len(table)
        rest = variances[kept:].sum() / max(1, table.shape[1] - kept)
        return cls(mean, deviation, components[:kept], variances[:kept], float(rest) + LEAST)

    def distance(self, found: Looks) -> np.ndarray:
        """Returns the Mahalanobis distance of each image, a root mean square of d deviations."""
        scaled = (found.table() - self.mean) / self.deviation
        along = scaled @ self.components.T
        beside = (scaled**2).sum(1) - (along**2).sum(1)
        squared = (along**2 / self.variances).sum(1) + beside / self.rest
        return np.sqrt(squared / scaled.shape[1])


def _tiles(pixels: np.ndarray, across: int) -> np.ndarray:
    """Returns the mean of each of across x across tiles, [n, across, across], of any side."""
    weights = _overlaps(pixels.shape[1], across)
    return weights @ (pixels @ _overlaps(pixels.shape[2], across).T)


@lru_cache
def _overlaps(side: int, across: int) -> np.ndarray:
    """Returns the share that each pixel of a row has in each tile, [across, side] float32."""
    edges, pixels = np.arange(across + 1) * side / across, np.arange(side)
    first, last = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(last, pixels + 1) - np.maximum(first, pixels)
    return (np.maximum(overlap, 0) * across / side).astype(np.float32)


def _halves(pixels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns images [n, S, S] at 1/2, 1/4 and so on of their side, and what each halving loses.

    That is the logarithm of the mean square within squares of two by two pixels: [n, SCALES].
    """
    halves, lost, squares = list[np.ndarray](), [], _mean_square(pixels)
    for _ in range(SCALES):
        even = pixels.shape[1] // 2 * 2
        rows = pixels[:, :even:2, :even] + pixels[:, 1:even:2, :even]
        pixels = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
        halves.append(pixels)
        lost.append(squares - (squares := _mean_square(pixels)))
    return halves, np.log(np.maximum(np.stack(lost, 1), 0) + LEAST**2)


def _mean_square(pixels: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nij->n", pixels, pixels) / pixels[0].size
