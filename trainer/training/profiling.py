"""A trace of some steps for TensorBoard's profile plugin."""

import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.distribute.replicas import Replicas


def bounds(config: ConfigDict) -> list[int]:
    """Returns A and B of `profile.steps=A,B`, or nothing."""
    return [int(bound) for bound in config.profile.steps.split(",") if bound]


class Profile:
    """Traces the steps after A up to B, or what is left of them.

    Args:
      config: of the run, whose `profile.steps` names them.
      folder: of a TensorBoard run.
      replicas: of which the chief alone traces.
    """

    def __init__(self, config: ConfigDict, folder: epath.Path, replicas: Replicas):
        self._steps, self._folder = bounds(config) if replicas.is_chief else [], folder
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
