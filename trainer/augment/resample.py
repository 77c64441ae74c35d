"""Resampling of images that compiles under XLA: affine transformations and Gaussian blur.

Keras' RandomRotation and its kin use ImageProjectiveTransformV3, which has no XLA kernel.

An affine transformation reads its four neighbours by a gather, or by a matrix product: on a TPU,
which gathers pixel by pixel and has its arithmetic in matrix units.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

FILL_MODES = ("nearest", "reflect", "constant")

# In pixels. Keeps the border pixels of a flip or a quarter turn from falling outside by rounding.
EDGE_TOLERANCE = 1e-3


class AffineParameters(NamedTuple):
    """One affine transformation per image, in the parameters of `keras` `apply_affine_transform`.

    Each field is [b] float32.

    Attributes:
      theta: rotation, degrees.
      tx: shift along the columns, pixels.
      ty: shift along the rows, pixels.
      shear: shear, degrees.
      zx: zoom along the columns; below 1 enlarges.
      zy: zoom along the rows; below 1 enlarges.
      flip_x: -1 mirrors left and right, 1 does not.
      flip_y: -1 mirrors top and bottom, 1 does not.
    """

    theta: tf.Tensor
    tx: tf.Tensor
    ty: tf.Tensor
    shear: tf.Tensor
    zx: tf.Tensor
    zy: tf.Tensor
    flip_x: tf.Tensor
    flip_y: tf.Tensor


def affine_matrices(parameters: AffineParameters) -> tf.Tensor:
    """Returns inverse affine matrices [b, 2, 3] float32, from output to input about the centre.

    The product rotation . shift . shear . zoom . flip in closed form, the order of Keras'
    `ImageDataGenerator`, which flips the image it has already transformed. Written out, since
    a matmul may run in TF32 on a GPU, whose 10 bits would misplace pixels.
    """
    theta = parameters.theta * (math.pi / 180)
    sheared = theta + parameters.shear * (math.pi / 180)
    zx = parameters.zx * parameters.flip_x
    zy = parameters.zy * parameters.flip_y
    cos, sin = tf.cos(theta), tf.sin(theta)
    tx, ty = parameters.tx, parameters.ty
    return tf.stack(
        [
            tf.stack([cos * zx, -tf.sin(sheared) * zy, cos * tx - sin * ty], axis=1),
            tf.stack([sin * zx, tf.cos(sheared) * zy, sin * tx + cos * ty], axis=1),
        ],
        axis=1,
    )


def resample(
    images: tf.Tensor,
    matrices: tf.Tensor,
    *,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    matrix_product: bool = False,
) -> tf.Tensor:
    """Resamples each image through its inverse affine matrix, bilinearly.

    Args:
      images: [b, H, W, C] float32; H, W and C static, H and W at least 2.
      matrices: [b, 2, 3] float32 from `affine_matrices()`.
      fill_mode: what lies outside the image, as in `scipy.ndimage`: "nearest" (a a a | a b c d),
        "reflect" (c b a | a b c d) or "constant".
      cval: value of a pixel taken from outside the image when `fill_mode` is "constant"; as in
        scipy it is not blended with the border.
      matrix_product: interpolate by a matrix product, for a TPU, instead of a gather. Both give
        the same image; outside a TPU the product is slow and its factors take 12 H H W bytes an
        image.

    Returns:
      [b, H, W, C] float32.

    Raises:
      ValueError: the fill mode is unknown, or H or W is below 2.
    """
    check_fill_mode(fill_mode)
    height, width = images.shape[1:3]
    if min(height, width) < 2:
        raise ValueError(f"images must be at least 2 by 2 pixels, not {height} by {width}")
    x, y = _source_coordinates(matrices, height, width)
    bilinear = _bilinear_by_product if matrix_product else _bilinear_by_gather
    resampled = bilinear(images, _fold(x, width, fill_mode), _fold(y, height, fill_mode))
    if fill_mode != "constant":
        return resampled
    inside = _inside(x, width) & _inside(y, height)
    return tf.where(inside[..., tf.newaxis], resampled, cval)


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor, max_sigma: float) -> tf.Tensor:
    """Blurs each image by its own Gaussian, mirroring at the border.

    Args:
      images: [b, H, W, C] float32, H and W at least 3 max_sigma, rounded up.
      sigma: [b, 1, 1, 1] float32, standard deviation in pixels.
      max_sigma: the largest sigma; the kernel reaches 3 of it either way.
    """
    radius = math.ceil(3 * max_sigma)
    # A sigma of 0 would divide by 0; at 0.01 the neighbours' weights have already vanished.
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32) / tf.maximum(sigma, 0.01)
    kernel = tf.exp(-0.5 * offsets**2)
    weights = tf.split(kernel / tf.reduce_sum(kernel, -1, keepdims=True), 2 * radius + 1, axis=-1)
    return _convolve(_convolve(images, weights, axis=1), weights, axis=2)


def check_fill_mode(fill_mode: str) -> None:
    """Raises a ValueError unless `fill_mode` is one of `FILL_MODES`."""
    if fill_mode not in FILL_MODES:
        raise ValueError(f"fill_mode must be one of {', '.join(FILL_MODES)}, not {fill_mode!r}")


def _source_coordinates(
    matrices: tf.Tensor, height: int, width: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns column and row of the source of every output pixel, each [b, H, W] float32."""
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x = tf.range(width, dtype=tf.float32) - centre_x
    y = tf.range(height, dtype=tf.float32)[:, tf.newaxis] - centre_y
    m = matrices[..., tf.newaxis, tf.newaxis]
    return (
        m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2] + centre_x,
        m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2] + centre_y,
    )


def _fold(coordinate: tf.Tensor, size: int, fill_mode: str) -> tf.Tensor:
    """Maps coordinates into [0, size - 1], to the pixel that has their value."""
    if fill_mode == "reflect":
        # The pattern repeats every two sizes and mirrors about the outer edge of the border pixel.
        phase = tf.math.floormod(coordinate + 0.5, 2.0 * size)
        coordinate = tf.minimum(phase, 2.0 * size - phase) - 0.5
    return tf.clip_by_value(coordinate, 0.0, size - 1.0)


def _inside(coordinate: tf.Tensor, size: int) -> tf.Tensor:
    return (coordinate >= -EDGE_TOLERANCE) & (coordinate <= size - 1 + EDGE_TOLERANCE)


def _bilinear_by_gather(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Interpolates at columns x in [0, W - 1] and rows y in [0, H - 1], each [b, H, W]."""
    height, width, channels = images.shape[1:]
    # Stops one short of the last pixel, so that the right and lower neighbours always exist.
    left = tf.minimum(tf.floor(x), width - 2.0)
    top = tf.minimum(tf.floor(y), height - 2.0)
    right_weight, lower_weight = (x - left)[..., tf.newaxis], (y - top)[..., tf.newaxis]

    # One flat int32 index: measured faster under XLA than gather_nd or batch_dims=1.
    pixels = tf.reshape(images, [-1, channels])
    first_pixel = tf.range(tf.shape(images)[0])[:, tf.newaxis, tf.newaxis] * (height * width)
    index = first_pixel + tf.cast(top, tf.int32) * width + tf.cast(left, tf.int32)

    def row(index: tf.Tensor) -> tf.Tensor:
        left_pixel, right_pixel = tf.gather(pixels, index), tf.gather(pixels, index + 1)
        return left_pixel + (right_pixel - left_pixel) * right_weight

    upper, lower = row(index), row(index + width)
    return upper + (lower - upper) * lower_weight


def _bilinear_by_product(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Interpolates like `_bilinear_by_gather()`: row weights times the image, then column weights.

    A TPU rounds the factors of a float32 product to bfloat16, whose 8 bits would be wrong by a
    grey level. Here both factors are sums of two such numbers, and the product that of
    high . high + high . low + low . high, side by side along the axis that is summed over.
    """
    height, width, channels = images.shape[1:]
    pixels = height * width
    weights = _tent(
        tf.reshape(y, [-1, pixels, 1]), tf.tile(tf.range(height, dtype=tf.float32), [3])
    )
    high, low = _bfloat16_parts(weights)
    weights = tf.where(tf.range(3 * height) < 2 * height, high, low)
    high, low = _bfloat16_parts(tf.reshape(images, [-1, height, width * channels]))
    rows = tf.matmul(weights, tf.concat([high, low, high], axis=1))
    columns = _tent(tf.reshape(x, [-1, pixels, 1]), tf.range(width, dtype=tf.float32))
    rows = tf.reshape(rows, [-1, pixels, width, channels])
    resampled = tf.reduce_sum(rows * columns[..., tf.newaxis], axis=2)
    return tf.reshape(resampled, [-1, height, width, channels])


def _tent(position: tf.Tensor, pixel: tf.Tensor) -> tf.Tensor:
    """Returns a pixel's weight in linear interpolation: 1 at its position, 0 from the next on."""
    return tf.nn.relu(1 - tf.abs(position - pixel))


def _bfloat16_parts(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits the float32 x into a high part of 8 significant bits, rounded, and the rest.

    By its bits: XLA may drop a cast to bfloat16 and back, and with it the rest.
    """
    bits = tf.bitcast(x, tf.uint32) + tf.constant(0x8000, tf.uint32)
    high = tf.bitcast(tf.bitwise.bitwise_and(bits, tf.constant(0xFFFF0000, tf.uint32)), tf.float32)
    return high, x - high


def _convolve(images: tf.Tensor, weights: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """Returns a weighted sum of shifted copies; no conv op has a kernel for each image."""
    padding = [[0, 0]] * 4
    padding[axis] = [len(weights) // 2] * 2
    padded = tf.pad(images, padding, "SYMMETRIC")
    shifted = (
        tf.slice(padded, [shift * (axis == i) for i in range(4)], tf.shape(images))
        for shift in range(len(weights))
    )
    return tf.add_n([weight * copy for weight, copy in zip(weights, shifted, strict=True)])
