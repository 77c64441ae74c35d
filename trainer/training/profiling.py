"""A trace of some steps for TensorBoard's profile plugin."""

from collections.abc import Sequence

import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict


def bounds(config: ConfigDict) -> list[int]:
    """Returns A and B of `profile.steps=A,B`, or nothing."""
    return [int(bound) for bound in config.profile.steps.split(",") if bound]


class Profile:
    """Traces the steps after A up to B, or what is left of them.

    Args:
      steps: A and B, or nothing.
      folder: of a TensorBoard run.
    """

    def __init__(self, steps: Sequence[int], folder: epath.Path):
        self._steps, self._folder = steps, folder
        self._on = False

    def at(self, step: int) -> None:
        """Begins or ends the trace, to be called between loops, which stop at A and B."""
        wanted = bool(self._steps) and self._steps[0] <= step < self._steps[1]
        if wanted and not self._on:
            tf.profiler.experimental.start(str(self._folder))
            self._on = True
        elif not wanted:
            self.close()

    def close(self) -> None:
        """Ends a trace that is under way."""
        if self._on:
            tf.profiler.experimental.stop()
        self._on = False
