"""A user's own augmentation: a function of images and keyed draws."""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import tensorflow as tf

from trainer import random_numbers
from trainer.augment import salts
from trainer.augment.random_layer import RandomLayer
from trainer.system import own_function
from trainer.system.errors import UsageError

FIELD = "augment.extra"
RULE = (
    "it gets (images, uniform), images [b, H, W, 1] float32 in 0..1, and returns as many of the "
    "same shape; uniform(2, 3) draws [b, 2, 3] numbers in 0..1 for them"
)


class OwnAugmentation(RandomLayer):
    """Calls a user's function on images, and on a function that draws numbers for each.

    Args:
      name: of the function, see `own_function.FORM`; "" for none.
    """

    def __init__(self, name: str):
        super().__init__()
        self._name = name
        self._function = own_function.load(name, FIELD) if name else None

    @property
    def is_on(self) -> bool:
        """Whether there is a function."""
        return self._function is not None

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int
    ) -> tf.Tensor:
        """Changes [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        assert self._function is not None
        return self._function(images, _draws(key, rows, global_batch))

    def check(self, size: int) -> None:
        """Raises a UsageError if the function breaks what the steps of a run rely on.

        Each image has to be changed by its own draws alone, whatever lies beside it in a batch:
        else the weights would depend on the number of replicas.

        Args:
          size: side of the images, pixels.
        """
        if not self.is_on:
            return
        key, rows = random_numbers.key(0, tf.constant(0)), tf.range(4)
        images = tf.constant(np.random.default_rng(0).random((4, size, size, 1), np.float32))
        changed = tf.function(self.call, autograph=False)  # as in a step: NumPy sees no numbers
        try:
            whole = tf.convert_to_tensor(changed(images, key, rows, global_batch=4))
            if whole.shape != images.shape or whole.dtype != tf.float32:
                fault = f"returns {whole.dtype.name} of shape {list(whole.shape)} for "
                raise _refused(self._name, fault + f"{list(images.shape)}")
            second = changed(images[2:], key, rows[2:], global_batch=4)
            again = changed(images, key, rows, global_batch=4)  # a set seed would draw alike above
        except UsageError:
            raise
        except own_function.RAISED as error:
            raise _refused(self._name, f"fails ({own_function.reason(error)})") from error
        if not np.isfinite(whole).all():
            raise _refused(self._name, "returns numbers that are not finite")
        if not (np.allclose(whole[2:], second, atol=1e-5) and np.allclose(whole, again, atol=1e-5)):
            raise _refused(
                self._name,
                "changes an image in another way where others lie beside it, or by random numbers "
                "that are not of uniform(...)",
            )


def _refused(name: str, fault: str) -> UsageError:
    return UsageError(f"{FIELD}={name} {fault}: {RULE}.")


def _draws(key: tf.Tensor, rows: tf.Tensor, global_batch: int) -> Callable[..., tf.Tensor]:
    """Returns uniform(*shape), whose every call draws other numbers."""
    unused: Iterator[int] = count(salts.OWN)

    def uniform(*shape: int) -> tf.Tensor:
        return random_numbers.uniform(
            key, next(unused), rows, global_batch=global_batch, shape=shape
        )

    return uniform
