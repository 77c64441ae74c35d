"""What may befall a radiograph between two hospitals, at stated strengths, on the device.

Every image is altered alike, but for its direction, which alternates, and its noise: both depend on
the example's row in the global batch alone, so that any number of replicas sees the same.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from trainer.augment import jpeg
from trainer.augment.noise import pixel_noise
from trainer.augment.resample import AffineParameters, affine_matrices, gaussian_blur, resample
from trainer.training.evaluation_loop import View

Alter = Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]


class Alteration(NamedTuple):
    """One kind of alteration.

    Attributes:
      name: what is done, with a place for the strength, as in "rotated by {} degrees"; it goes on
        where "images" or "images are only" begins.
      strengths: from the mildest to the strongest.
      alter: of images [b, S, S, 1] float32 in 0..1, rows [b] int32 and a strength; returns the same
        shape in 0..1.
      encoding: whether it changes how a file is encoded, and nothing that a reader would see.
    """

    name: str
    strengths: tuple[float, ...]
    alter: Alter
    encoding: bool = False

    def described(self, strength: float) -> str:
        """Returns what is done at a strength."""
        return self.name.format(f"{strength:g}")

    def view(self, strength: float) -> View:
        """Returns the view of an evaluation that alters all images at a strength."""

        def altered(images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            return tf.clip_by_value(self.alter(images, rows, strength), 0.0, 1.0)

        return altered


# Compiled, as in training: its hundreds of operations on whole numbers are slow one by one, and
# oneDNN complains of them.
_compress = tf.function(jpeg.compress, jit_compile=True)


def _compressed(images: tf.Tensor, rows: tf.Tensor, quality: float) -> tf.Tensor:
    count = tf.shape(rows)[0]
    corner = tf.zeros([count, 2], tf.int32)
    return _compress(images, tf.fill([count], int(quality)), corner)


def _lossless(images: tf.Tensor, rows: tf.Tensor, bits: float) -> tf.Tensor:
    del rows
    most = 2.0**bits - 1
    return tf.round(images * most) / most


def _blurred(images: tf.Tensor, rows: tf.Tensor, sigma: float) -> tf.Tensor:
    return gaussian_blur(images, tf.fill([tf.shape(rows)[0], 1, 1, 1], float(sigma)), sigma)


def _noisy(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    different = tf.cast(rows, tf.float32) * 2.0**-24
    return images + percent / 100 * pixel_noise(different, images.shape[1:])


def _brighter(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    del rows
    return images + percent / 100


def _darker(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    return _brighter(images, rows, -percent)


def _flatter(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    del rows
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (1 - percent / 100)


def _rotated(images: tf.Tensor, rows: tf.Tensor, degrees: float) -> tf.Tensor:
    return _moved(images, rows, theta=degrees)


def _shifted(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    return _moved(images, rows, tx=percent / 100 * images.shape[2])


def _closer(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    return _moved(images, rows, zoom=1 - percent / 100)


def _wider(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    return _moved(images, rows, zoom=1 + percent / 100)


def _moved(
    images: tf.Tensor, rows: tf.Tensor, *, theta: float = 0, tx: float = 0, zoom: float = 1
) -> tf.Tensor:
    """Returns images turned or shifted, every other one the other way, and zoomed alike."""
    direction = tf.where(rows % 2 == 0, 1.0, -1.0)
    nothing, one = tf.zeros_like(direction), tf.ones_like(direction)
    zooms = zoom * one, zoom * one
    parameters = AffineParameters(
        theta * direction, tx * direction, nothing, nothing, *zooms, one, one
    )
    return resample(images, affine_matrices(parameters))


def _coarser(images: tf.Tensor, rows: tf.Tensor, times: float) -> tf.Tensor:
    """Returns images that were stored at a fraction of their resolution."""
    del rows
    side = images.shape[1]
    small = max(1, round(side / times))
    reduced = tf.image.resize(images, [small, small], antialias=True)
    return tf.image.resize(reduced, [side, side])


def _without_corners(images: tf.Tensor, rows: tf.Tensor, percent: float) -> tf.Tensor:
    """Returns images whose corners, where letters and markers are, are painted over in black."""
    del rows
    side = images.shape[1]
    depth = round(percent / 100 * side)
    edge = tf.cast((tf.range(side) < depth) | (tf.range(side) >= side - depth), tf.float32)
    return images * (1 - edge[:, tf.newaxis] * edge)[tf.newaxis, :, :, tf.newaxis]


ALTERATIONS = (
    Alteration("re-encoded as PNG of {} bits", (8,), _lossless, encoding=True),
    Alteration("re-encoded as JPEG of quality {}", (90, 75, 50), _compressed, encoding=True),
    Alteration("blurred by {} px", (0.5, 1, 2), _blurred),
    Alteration("with noise of {} % of full scale", (2, 5, 10), _noisy),
    Alteration("darker by {} % of full scale", (10, 20), _darker),
    Alteration("brighter by {} % of full scale", (10, 20), _brighter),
    Alteration("with contrast lower by {} %", (20, 40, 60), _flatter),
    Alteration("rotated by {} degrees", (5, 15), _rotated),
    Alteration("shifted by {} % of the width", (5, 10), _shifted),
    Alteration("framed closer by {} % of the side", (10, 20), _closer),
    Alteration("framed wider by {} % of the side", (10, 20), _wider),
    Alteration("at 1/{} of the resolution", (2, 4), _coarser),
    Alteration("with corners of {} % of the side painted over", (10, 20), _without_corners),
)
