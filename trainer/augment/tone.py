"""Random tone of image batches: grey levels, blur, noise and compression."""

import math

import tensorflow as tf

from trainer import random_numbers
from trainer.augment import jpeg, local_contrast, salts, tone_curve
from trainer.augment.noise import pixel_noise
from trainer.augment.random_layer import RandomLayer, non_negative, signed
from trainer.augment.resample import gaussian_blur


class RandomTone(RandomLayer):
    """Changes brightness, contrast and gamma, blurs, adds noise, bends, equalises and compresses.

    An image is made in that order: exposure, optics, detector, processing, file. Values are clipped
    to 0..1 before the gamma and after noise and local contrast. A range of 0 is off.

    Args:
      brightness_range: r for an addend in [-r, r], fraction of full scale.
      contrast_range: r for a factor in [1 - r, 1 + r] about the image's own mean.
      gamma_range: r for an exponent drawn log-uniformly from [1 / (1 + r), 1 + r].
      blur_range: r for a Gaussian blur of standard deviation in [0, r] pixels; see
        `gaussian_blur()` for the smallest image.
      noise_range: r for normal noise of standard deviation in [0, r], fraction of full scale.
      curve_range: r for pieces of a tone curve whose slopes are drawn log-uniformly from exp(-r) to
        exp(r); see `tone_curve.bend()`.
      local_contrast: r for an amount in [0, r] of `local_contrast.equalise()`, at most 1.
      compression_range: r for a JPEG quality in [100 - r, 100], a whole number, at most 99; the
        blocks lie anywhere, as in an image that was cut or resized since. See `jpeg`.

    Raises:
      ValueError: a range is negative, that of compression above 99, or local contrast above 1.
    """

    FIELDS = (
        "brightness_range",
        "contrast_range",
        "gamma_range",
        "blur_range",
        "noise_range",
        "curve_range",
        "local_contrast",
        "compression_range",
    )

    def __init__(
        self,
        *,
        brightness_range: float = 0.0,
        contrast_range: float = 0.0,
        gamma_range: float = 0.0,
        blur_range: float = 0.0,
        noise_range: float = 0.0,
        curve_range: float = 0.0,
        local_contrast: float = 0.0,
        compression_range: float = 0.0,
    ):
        super().__init__()
        self.brightness_range = non_negative("brightness_range", brightness_range)
        self.contrast_range = non_negative("contrast_range", contrast_range)
        self.gamma_range = non_negative("gamma_range", gamma_range)
        self.blur_range = non_negative("blur_range", blur_range)
        self.noise_range = non_negative("noise_range", noise_range)
        self.curve_range = non_negative("curve_range", curve_range)
        self.local_contrast = non_negative("local_contrast", local_contrast)
        self.compression_range = non_negative("compression_range", compression_range)
        if compression_range > 99:
            raise ValueError(f"compression_range must be at most 99, not {compression_range}")
        if local_contrast > 1:
            raise ValueError(f"local_contrast must be at most 1, not {local_contrast}")

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        grey_levels = self.brightness_range or self.contrast_range or self.gamma_range
        film = self.blur_range or self.noise_range
        processing = self.curve_range or self.local_contrast
        return bool(grey_levels or film or processing or self.compression_range)

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int
    ) -> tf.Tensor:
        """Changes [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        if not self.is_on:
            return images
        unit = random_numbers.uniform(
            key, salts.TONE, rows, global_batch=global_batch, shape=(5, 1, 1, 1)
        )
        brightness, contrast, gamma, blur, noise = tf.unstack(unit, axis=1)
        if self.brightness_range:
            images += self.brightness_range * signed(brightness)
        if self.contrast_range:
            # Rows first: XLA on a CPU vectorises it, and not the mean over all axes at once.
            row_mean = tf.reduce_mean(images, axis=1, keepdims=True)
            mean = tf.reduce_mean(row_mean, axis=[2, 3], keepdims=True)
            images = mean + (images - mean) * (1 + self.contrast_range * signed(contrast))
        if self.gamma_range:
            exponent = tf.exp(math.log1p(self.gamma_range) * signed(gamma))
            images = tf.pow(tf.clip_by_value(images, 0.0, 1.0), exponent)
        if self.blur_range:
            images = gaussian_blur(images, self.blur_range * blur, self.blur_range)
        if self.noise_range:
            row_draw = random_numbers.uniform(key, salts.NOISE, rows, global_batch=global_batch)
            images += self.noise_range * noise * pixel_noise(row_draw, images.shape[1:])
        images = tf.clip_by_value(images, 0.0, 1.0)
        if self.curve_range:
            unit = random_numbers.uniform(
                key, salts.CURVE, rows, global_batch=global_batch, shape=(tone_curve.PIECES,)
            )
            images = tone_curve.bend(images, tf.exp(self.curve_range * signed(unit)))
        if self.local_contrast:
            amount = self.local_contrast * random_numbers.uniform(
                key, salts.LOCAL_CONTRAST, rows, global_batch=global_batch, shape=(1, 1, 1)
            )
            images = tf.clip_by_value(local_contrast.equalise(images, amount), 0.0, 1.0)
        if self.compression_range:
            unit = random_numbers.uniform(
                key, salts.COMPRESSION, rows, global_batch=global_batch, shape=(3,)
            )
            quality = 100 - tf.cast(tf.round(self.compression_range * unit[:, 0]), tf.int32)
            corner = tf.cast(jpeg.BLOCK * unit[:, 1:], tf.int32)
            images = jpeg.compress(images, quality, corner)
        return images
