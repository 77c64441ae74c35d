"""Random augmentation of image batches inside the compiled training step, on the accelerator.

Every draw depends only on (seed, step, row of the global batch); see `trainer.random_numbers`.
"""

import ml_collections
import tensorflow as tf

from trainer.augment import strength
from trainer.augment.affine import RandomAffine
from trainer.augment.collimation import RandomCollimation
from trainer.augment.erasing import RandomErasing
from trainer.augment.mixing import Mixing
from trainer.augment.own_augmentation import OwnAugmentation
from trainer.augment.random_layer import RandomLayer
from trainer.augment.tone import RandomTone


class Augmentation(RandomLayer):
    """Changes geometry, tone, what is one's own, then covers and erases; with all off, nothing.

    What mixes images with one another, and their labels too, is the separate `mixing`.

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
      own: what a user's function changes.
      collimation: what borders cover.
      erasing: what is erased.
      mixing: which the step calls afterwards, where it is on.
      jit_compile: compile with XLA, whether or not the surrounding step is.
      matrix_product: how the geometry is resampled, for a TPU; see `resample()`.
    """

    def __init__(
        self,
        affine: RandomAffine,
        tone: RandomTone,
        *,
        own: OwnAugmentation,
        collimation: RandomCollimation,
        erasing: RandomErasing,
        mixing: Mixing,
        jit_compile: bool = True,
        matrix_product: bool = False,
    ):
        super().__init__()
        self.affine = affine
        self.tone = tone
        self.own = own
        self.collimation = collimation
        self.erasing = erasing
        self.mixing = mixing
        self.jit_compile = jit_compile
        self.matrix_product = matrix_product
        # Compiled apart, since XLA on a CPU would fuse the gather into every use of its result.
        self._apply_affine, self._apply_tone, self._collimate, self._erase, self.mix = (
            tf.function(layer, jit_compile=True, autograph=False) if jit_compile else layer
            for layer in (affine, tone, collimation, erasing, mixing)
        )

    @property
    def is_on(self) -> bool:
        """Whether any image can change, mixing aside."""
        layers = (self.affine, self.tone, self.own, self.collimation, self.erasing)
        return any(layer.is_on for layer in layers)

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
        if self.own.is_on:  # not compiled apart: it may have operations that XLA does not
            images = self.own(images, key, rows, global_batch=global_batch)
        if self.collimation.is_on:
            images = self._collimate(images, key, rows, global_batch=global_batch)
        if self.erasing.is_on:
            images = self._erase(images, key, rows, global_batch=global_batch)
        return images


def of_run(config: ml_collections.ConfigDict, *, on_tpu: bool) -> Augmentation:
    """Builds the augmentation of a run's config as its devices compute it, see `build`."""
    return build(
        config.augment,
        config.augment.jit_compile and not on_tpu,
        matrix_product=on_tpu,
        image_size=config.data.image_size,
    )


def build(
    config: ml_collections.ConfigDict,
    jit_compile: bool = True,
    matrix_product: bool = False,
    *,
    image_size: int = 64,
) -> Augmentation:
    """Builds the augmentation of a config.

    Args:
      config: the fields `augment.*`, those of the layers, and the `strength` that scales them.
      jit_compile: compile with XLA.
      matrix_product: how the geometry is resampled; see `resample()`.
      image_size: side of the images on which a user's function is tried.

    Raises:
      KeyError: a field is missing.
      ValueError: a value is out of range.
      UsageError: a user's function is not one that can be used.
    """
    options = dict(config) | strength.scaled(config)
    own = OwnAugmentation(config.extra)
    own.check(image_size)
    return Augmentation(
        RandomAffine(**{name: options[name] for name in RandomAffine.FIELDS}),
        RandomTone(**{name: options[name] for name in RandomTone.FIELDS}),
        own=own,
        collimation=RandomCollimation(collimate=options["collimate"]),
        erasing=RandomErasing(erase=options["erase"]),
        mixing=Mixing(mixup=options["mixup"], cutmix=options["cutmix"]),
        jit_compile=jit_compile,
        matrix_product=matrix_product,
    )
