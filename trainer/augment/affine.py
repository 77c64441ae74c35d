"""Random geometry of image batches: rotation, shift, shear, zoom and flips in one resampling."""

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer import random_numbers
from trainer.augment import salts
from trainer.augment.random_layer import RandomLayer, non_negative, signed
from trainer.augment.resample import AffineParameters, affine_matrices, check_fill_mode, resample

LARGEST_STRETCH = math.log(4 / 3)  # of a crop's width over its height, either way


class RandomAffine(RandomLayer):
    """Rotates, shifts, shears, zooms and flips each image at random, resampling it once.

    The parameters are those of Keras' `ImageDataGenerator`. For the same drawn values the image
    is that of its `apply_affine_transform` (order=1), flipped afterwards, with these differences:
      - the image turns about its own centre, where Keras takes a non-square image's height for
        its width and the reverse;
      - `width_shift_range` shifts along the columns and `height_shift_range` along the rows,
        where `ImageDataGenerator` swaps the two;
      - shifts are always fractions of the size, also from 1 up;
      - a pixel within 0.001 pixel of the image counts as inside it when `fill_mode` is "constant".

    Args:
      rotation_range: largest angle either way, degrees.
      width_shift_range: largest shift either way along the columns, fraction of the width.
      height_shift_range: largest shift either way along the rows, fraction of the height.
      shear_range: largest shear angle either way, degrees.
      zoom_range: z for [1 - z, 1 + z], or the pair (low, high); drawn for each axis separately.
      crop_range: r for a crop of a share in [1 - r, 1] of the area, anywhere in the rotated
        image, which then fills the whole; its sides stand 3:4 to 4:3 at most.
      horizontal_flip: mirror left and right with probability 0.5.
      vertical_flip: mirror top and bottom with probability 0.5.
      fill_mode: "nearest", "reflect" or "constant"; see `resample()`.
      cval: value outside the image for "constant", on the images' own scale of 0 to 1.

    Raises:
      ValueError: a range is negative, zoom or crop reaches 0, or the fill mode is unknown.
    """

    FIELDS = (
        "rotation_range",
        "width_shift_range",
        "height_shift_range",
        "shear_range",
        "zoom_range",
        "crop_range",
        "horizontal_flip",
        "vertical_flip",
        "fill_mode",
        "cval",
    )

    def __init__(
        self,
        *,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        crop_range: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        fill_mode: str = "nearest",
        cval: float = 0.0,
    ):
        super().__init__()
        check_fill_mode(fill_mode)
        self.rotation_range = non_negative("rotation_range", rotation_range)
        self.width_shift_range = non_negative("width_shift_range", width_shift_range)
        self.height_shift_range = non_negative("height_shift_range", height_shift_range)
        self.shear_range = non_negative("shear_range", shear_range)
        self.zoom_range = _zoom_bounds(zoom_range)
        self.crop_range = non_negative("crop_range", crop_range)
        if crop_range >= 1:
            raise ValueError(f"crop_range must be below 1, not {crop_range}")
        self.horizontal_flip = bool(horizontal_flip)
        self.vertical_flip = bool(vertical_flip)
        self.fill_mode = fill_mode
        self.cval = float(cval)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        shifts = self.width_shift_range or self.height_shift_range
        flips = self.horizontal_flip or self.vertical_flip
        zooms = self.zoom_range != (1.0, 1.0)
        windows = shifts or zooms or self.crop_range
        return bool(self.rotation_range or self.shear_range or windows or flips)

    def draw(
        self, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int, height: int, width: int
    ) -> AffineParameters:
        """Returns the parameters of each of `rows`, for images of `height` by `width` pixels."""
        unit = random_numbers.uniform(
            key, salts.AFFINE, rows, global_batch=global_batch, shape=(8,)
        )
        rotation, x_shift, y_shift, shear, x_zoom, y_zoom, x_flip, y_flip = tf.unstack(unit, axis=1)
        low, high = self.zoom_range
        parameters = AffineParameters(
            theta=self.rotation_range * signed(rotation),
            tx=self.width_shift_range * width * signed(x_shift),
            ty=self.height_shift_range * height * signed(y_shift),
            shear=self.shear_range * signed(shear),
            zx=low + (high - low) * x_zoom,
            zy=low + (high - low) * y_zoom,
            flip_x=_flip_sign(x_flip, self.horizontal_flip),
            flip_y=_flip_sign(y_flip, self.vertical_flip),
        )
        if not self.crop_range:
            return parameters
        unit = random_numbers.uniform(key, salts.CROP, rows, global_batch=global_batch, shape=(4,))
        return _cropped(parameters, self.crop_range, unit, (height, width))

    def call(
        self,
        images: tf.Tensor,
        key: tf.Tensor,
        rows: tf.Tensor,
        *,
        global_batch: int,
        matrix_product: bool = False,
    ) -> tf.Tensor:
        """Transforms [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        if not self.is_on:
            return images
        height, width = images.shape[1:3]
        parameters = self.draw(key, rows, global_batch=global_batch, height=height, width=width)
        matrices = affine_matrices(parameters)
        return resample(
            images,
            matrices,
            fill_mode=self.fill_mode,
            cval=self.cval,
            matrix_product=matrix_product,
        )


def _cropped(
    parameters: AffineParameters, crop_range: float, unit: tf.Tensor, size: tuple[int, int]
) -> AffineParameters:
    """Returns the parameters of the same images, cropped by draws [b, 4] in [0, 1)."""
    area, stretch, x, y = tf.unstack(unit, axis=1)
    area = 1 - crop_range * area
    # A crop of nearly all cannot be stretched: neither side is longer than the image's.
    ratio = tf.exp(tf.minimum(-tf.math.log(area), LARGEST_STRETCH) * signed(stretch))
    height, width = tf.sqrt(area / ratio), tf.sqrt(area * ratio)
    return parameters._replace(
        tx=parameters.tx + (1 - width) / 2 * size[1] * signed(x),
        ty=parameters.ty + (1 - height) / 2 * size[0] * signed(y),
        zx=parameters.zx * width,
        zy=parameters.zy * height,
    )


def _flip_sign(unit: tf.Tensor, flips: bool) -> tf.Tensor:
    """Returns -1 for half of the draws in [0, 1) where flips are wanted, else 1."""
    return tf.where(unit < 0.5, -1.0, 1.0) if flips else tf.ones_like(unit)


def _zoom_bounds(zoom_range: float | Sequence[float]) -> tuple[float, float]:
    """Returns the pair (low, high) of a zoom range given as a pair or as the float z."""
    low, high = zoom_range if isinstance(zoom_range, Sequence) else (1 - zoom_range, 1 + zoom_range)
    if not 0 < low <= high:
        raise ValueError(f"zoom_range must give 0 < low <= high, not {zoom_range}")
    return float(low), float(high)
