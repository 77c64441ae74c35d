"""Random geometry of image batches: rotation, shift, shear, zoom and flips in one resampling."""

from collections.abc import Sequence

import tensorflow as tf

from trainer import random_numbers
from trainer.augment.random_layer import RandomLayer, non_negative, signed
from trainer.augment.resample import AffineParameters, affine_matrices, check_fill_mode, resample

SALT = 1  # of the draws under one step's key; tone.py has the others


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
      horizontal_flip: mirror left and right with probability 0.5.
      vertical_flip: mirror top and bottom with probability 0.5.
      fill_mode: "nearest", "reflect" or "constant"; see `resample()`.
      cval: value outside the image for "constant", on the images' own scale of 0 to 1.

    Raises:
      ValueError: a range is negative, a zoom reaches 0, or the fill mode is unknown.
    """

    FIELDS = (
        "rotation_range",
        "width_shift_range",
        "height_shift_range",
        "shear_range",
        "zoom_range",
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
        return bool(self.rotation_range or shifts or self.shear_range or zooms or flips)

    def draw(
        self, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int, height: int, width: int
    ) -> AffineParameters:
        """Returns the parameters of each of `rows`, for images of `height` by `width` pixels."""
        unit = random_numbers.uniform(key, SALT, rows, global_batch=global_batch, shape=(8,))
        rotation, x_shift, y_shift, shear, x_zoom, y_zoom, x_flip, y_flip = tf.unstack(unit, axis=1)
        low, high = self.zoom_range
        return AffineParameters(
            theta=self.rotation_range * signed(rotation),
            tx=self.width_shift_range * width * signed(x_shift),
            ty=self.height_shift_range * height * signed(y_shift),
            shear=self.shear_range * signed(shear),
            zx=low + (high - low) * x_zoom,
            zy=low + (high - low) * y_zoom,
            flip_x=_flip_sign(x_flip, self.horizontal_flip),
            flip_y=_flip_sign(y_flip, self.vertical_flip),
        )

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


def _flip_sign(unit: tf.Tensor, flips: bool) -> tf.Tensor:
    """Returns -1 for half of the draws in [0, 1) where flips are wanted, else 1."""
    return tf.where(unit < 0.5, -1.0, 1.0) if flips else tf.ones_like(unit)


def _zoom_bounds(zoom_range: float | Sequence[float]) -> tuple[float, float]:
    """Returns the pair (low, high) of a zoom range given as a pair or as the float z."""
    low, high = zoom_range if isinstance(zoom_range, Sequence) else (1 - zoom_range, 1 + zoom_range)
    if not 0 < low <= high:
        raise ValueError(f"zoom_range must give 0 < low <= high, not {zoom_range}")
    return float(low), float(high)
