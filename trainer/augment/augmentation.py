"""Random augmentation of image batches inside the compiled training step, on the accelerator.

Every draw depends only on (seed, step, row of the global batch); see `trainer.random_numbers`.
"""

import ml_collections
import tensorflow as tf

from trainer.augment.affine import RandomAffine
from trainer.augment.random_layer import RandomLayer
from trainer.augment.tone import RandomTone


class Augmentation(RandomLayer):
    """Changes the geometry, then the tone. With both off it returns its input.

    Compiled and plain runs place a pixel alike to within float32 rounding, some 1e-7 of the
    image's size; with "constant" a pixel right on the border may thus fall either way.

    Called as `augmentation(images, key, rows, global_batch=...)`:
      images: [b, H, W, C] float32 in 0..1; H, W and C static.
      key: [2] int32 from `random_numbers.key()`.
      rows: [b] int32, each example's row in the global batch.
      global_batch: number of rows in the global batch, a Python int.

    Args:
      affine: the geometry.
      tone: the grey levels.
      jit_compile: compile with XLA, whether or not the surrounding step is.
      matrix_product: how the geometry is resampled, for a TPU; see `resample()`.
    """

    def __init__(
        self,
        affine: RandomAffine,
        tone: RandomTone,
        *,
        jit_compile: bool = True,
        matrix_product: bool = False,
    ):
        super().__init__()
        self.affine = affine
        self.tone = tone
        self.jit_compile = jit_compile
        self.matrix_product = matrix_product
        # Compiled apart, since XLA on a CPU would fuse the gather into every use of its result.
        self._apply_affine = tf.function(affine, jit_compile=True) if jit_compile else affine
        self._apply_tone = tf.function(tone, jit_compile=True) if jit_compile else tone

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int
    ) -> tf.Tensor:
        """Returns augmented images; the arguments are those of the class."""
        if self.affine.is_on:
            images = self._apply_affine(
                images, key, rows, global_batch=global_batch, matrix_product=self.matrix_product
            )
        if self.tone.is_on:
            images = self._apply_tone(images, key, rows, global_batch=global_batch)
        return images


def build(
    config: ml_collections.ConfigDict, jit_compile: bool = True, matrix_product: bool = False
) -> Augmentation:
    """Builds the augmentation of a config.

    Args:
      config: the fields `augment.*`, those of `RandomAffine` and `RandomTone`.
      jit_compile: compile with XLA.
      matrix_product: how the geometry is resampled; see `resample()`.

    Raises:
      KeyError: a field is missing.
      ValueError: a value is out of range.
    """
    return Augmentation(
        RandomAffine(**{name: config[name] for name in RandomAffine.FIELDS}),
        RandomTone(**{name: config[name] for name in RandomTone.FIELDS}),
        jit_compile=jit_compile,
        matrix_product=matrix_product,
    )
