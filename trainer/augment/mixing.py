"""Images of a batch mixed two by two, and their labels with them: mixup and CutMix.

The partner of a row of the global batch is its neighbour: of row 6 row 7, and of row 7 row 6. They
lie on the same replica wherever each replica has an even number of rows, so that images are mixed
alike on any number of replicas. Who is whose neighbour, the order of the epoch draws.
"""

import numpy as np
import tensorflow as tf
from scipy.special import betaincinv

from trainer import random_numbers
from trainer.augment import salts
from trainer.augment.random_layer import RandomLayer, non_negative

QUANTILES = 4096


class Mixing(RandomLayer):
    """Mixes each image with that of the neighbouring row.

    Called as `mixing(images, labels, key, rows, global_batch=...)`; returns images and labels. A
    label is the mean of the two by their shares of the image, and is not known unless both are.

    Args:
      mixup: alpha of the Beta(alpha, alpha) of an image's share, by which grey levels are averaged
        (Zhang et al. 2018); 0 is off.
      cutmix: alpha of the share outside of a rectangle that is the partner's (Yun et al. 2019); 0
        is off. With both, every second image gets the one, at random.

    Raises:
      ValueError: an alpha is negative.
    """

    def __init__(self, *, mixup: float = 0.0, cutmix: float = 0.0):
        super().__init__()
        self.mixup, self.cutmix = non_negative("mixup", mixup), non_negative("cutmix", cutmix)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        return bool(self.mixup or self.cutmix)

    def call(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        key: tf.Tensor,
        rows: tf.Tensor,
        *,
        global_batch: int,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes [b, H, W, C] float32 images and [b, K] float32 labels, b even."""
        unit = random_numbers.uniform(
            key, salts.MIXING, rows, global_batch=global_batch, shape=(4,)
        )
        which, share, x, y = tf.unstack(unit, axis=1)
        masks = []  # [b, H or 1, W or 1, 1]: the image's own share of each pixel
        if self.mixup:
            masks.append(_beta(share, self.mixup)[:, None, None, None])
        if self.cutmix:
            masks.append(_outside(_beta(share, self.cutmix), x, y, images.shape[1:3]))
        mask = masks[0]
        if masks[1:]:
            mask = tf.where(which[:, None, None, None] < 0.5, masks[0], masks[1])
        own = tf.reduce_mean(mask, axis=[1, 2])
        others = _neighbours(labels)
        known = (labels >= 0) & (others >= 0)
        mixed = tf.where(known, own * labels + (1 - own) * others, -1.0)
        return mask * images + (1 - mask) * _neighbours(images), mixed


def _beta(unit: tf.Tensor, alpha: float) -> tf.Tensor:
    """Returns the quantiles of Beta(alpha, alpha) at draws in [0, 1), from a table of them."""
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    table = tf.constant(betaincinv(alpha, alpha, middles).astype(np.float32))
    return tf.gather(table, tf.cast(unit * QUANTILES, tf.int32))


def _outside(share: tf.Tensor, x: tf.Tensor, y: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns 0 in a rectangle about (x, y) of 1 - share of the area, 1 elsewhere: [b, H, W, 1]."""
    half = tf.sqrt(1 - share) / 2
    inside = [
        tf.abs((tf.range(side, dtype=tf.float32) + 0.5) / side - centre[:, None]) < half[:, None]
        for side, centre in zip(size, (y, x), strict=True)
    ]
    rectangle = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return 1 - tf.cast(rectangle, tf.float32)


def _neighbours(values: tf.Tensor) -> tf.Tensor:
    """Returns rows 1, 0, 3, 2, 5, 4 and so on."""
    pairs = tf.reshape(values, [-1, 2, *values.shape[1:]])
    return tf.reshape(tf.reverse(pairs, [1]), tf.shape(values))
