"""The network of a finished run, with the weights that it kept, for inference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict
from PIL import Image

from trainer import models
from trainer.checkpoint import checkpoint
from trainer.config import schema
from trainer.data.decode import fit, radiograph, recode
from trainer.data.prepare import ingest
from trainer.metrics import classification
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT, IndependentLabels
from trainer.models import views
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.system.errors import UsageError
from trainer.system.json_files import damage_reported
from trainer.training import run_paths
from trainer.training.run_files import OF_NETWORK, RunFiles

AT_ONCE = 32  # images that go through the network together


@dataclass(frozen=True)
class TrainedModel:
    """The network of a finished run, and what it takes to use it on new images.

    Attributes:
      config: of the run.
      data: the summary of its data set, as in data_summary.json.
      evaluation: of the test split, as in evaluation/test.json.
      decoding: how the files of its data set became images.
      labels: names of the K labels.
      classes: the two class names where K is 1, the negative one first; else none.
      temperatures: of each label; it calibrates the probability.
      model: [n, S, S, C] float32 in 0..1 -> [n, K] logits, with the weights that the run kept.
      outputs: what these are.
    """

    config: ConfigDict
    data: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    decoding: ingest.DecodeOptions
    labels: list[str]
    classes: list[str]
    temperatures: list[float]
    model: keras.Model
    outputs: IndependentLabels = INDEPENDENT

    @classmethod
    def load(cls, workdir: epath.PathLike) -> "TrainedModel":
        """Loads the network of a run on this machine's default device.

        Args:
          workdir: of a finished run.

        Raises:
          UsageError: there is no finished run, or one of its files cannot be read.
          CheckpointsDamaged: the checkpoint of these weights is damaged.
        """
        run = RunFiles(workdir, OF_NETWORK)
        saved_config, data, evaluation = run.config, run.data, run.test
        with damage_reported(run.workdir / "config.json"):
            config = schema.from_saved(saved_config)
        with damage_reported(run.workdir / "data_summary.json"):
            decoding = ingest.DecodeOptions(data["max_side"], data["any_view"], data["uniform"])
            labels, classes = [*data["labels"]], [*data["classes"]]
        with damage_reported(run.workdir / "evaluation/test.json"):
            evaluated = [evaluation["labels"][name] for name in labels]
            temperatures = [label["calibration"]["temperature"] for label in evaluated]
            step, epoch = evaluation["step"], evaluation["epoch"]
            outputs = EXCLUSIVE if evaluation.get("exclusive") else INDEPENDENT
        model = _build(config, len(labels), run_paths.network_source(run.workdir))
        folder = checkpoint.path(run.workdir / "checkpoints", step, epoch)
        _restore(model, folder, averaged=config.train.ema > 0)
        return cls(
            config, data, evaluation, decoding, labels, classes, temperatures, model, outputs
        )

    def stored_image(self, file: bytes) -> Image.Image:
        """Returns what preparation would store of a file: grey, in its own shape.

        Raises:
          radiograph.Unreadable: it is not a radiograph that can be used; the message is the reason.
        """
        options = self.decoding
        return recode.stored_image(
            file, options.max_side, options.any_view, uniform=options.uniform
        )

    def fitted_image(self, stored: Image.Image) -> np.ndarray:
        """Returns a stored image fitted to the network's square, [S, S, 1] uint8."""
        return fit.fit(stored, self.config.data.image_size, self.config.data.fit)

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Returns images [n, S, S, 1] uint8 as the model takes them, [n, S, S, C] float32."""
        channels = self.config.model.channels
        return repeat_channels(images_to_float(tf.constant(images)), channels).numpy()

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Returns the log-odds of each label, [n, K] float32, for images [n, S, S, 1] uint8."""
        parts = [images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE)]
        of_each = self.config.model.views
        given = [views.answer(self.model, self.inputs(part), of_each).numpy() for part in parts]
        return self.outputs.log_odds(np.concatenate(given))

    def logits_and_features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the log-odds, [n, K] float32, and what the last layer makes them from, [n, d].

        The features are of the images as they are, whatever views the log-odds are the mean of. It
        compiles the network when it is first called, and is faster then.

        Args:
          images: [n, S, S, 1] uint8, which go through the network together.
        """
        logits, features = self._forward(tf.constant(images))
        return self.outputs.log_odds(logits.numpy()), features.numpy()

    @cached_property
    def _forward(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """Compiled once for any number of images, [n, S, S, 1] uint8."""
        side, channels = self.config.data.image_size, self.config.model.channels
        of_each = self.config.model.views
        model = with_features(self.model)

        @tf.function(input_signature=[tf.TensorSpec((None, side, side, 1), tf.uint8)])
        def forward(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inputs = repeat_channels(images_to_float(images), channels)
            return views.answer_and_features(model, inputs, of_each)

        return forward

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns the probability of each label, not calibrated: [n, K] float64."""
        return classification.probabilities(self.logits(images))


def with_features(model: keras.Model) -> keras.Model:
    """Returns the same network with two outputs: logits, and the input of its last layer."""
    features = model.layers[-1].input
    if len(features.shape) > 2:  # one's own network may end in a pooling or flattening layer
        features = keras.ops.mean(features, axis=tuple(range(1, len(features.shape) - 1)))
    return keras.Model(model.inputs[0], [model.outputs[0], features])


def read_file(path: epath.PathLike) -> bytes:
    """Returns the content of a user's file.

    Raises:
      radiograph.Unreadable: the file cannot be read; the message is the reason.
    """
    try:
        return epath.Path(path).read_bytes()
    except (OSError, tf.errors.OpError) as error:  # the latter of a bucket
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise radiograph.Unreadable(f"cannot be read: {reason}") from error


def _build(config: ConfigDict, outputs: int, source: epath.PathLike | None = None) -> keras.Model:
    """Returns the network in the precision of the run, and leaves the default precision alone."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(config.precision)
    try:
        return models.build(config.model, config.data.image_size, outputs, source=source)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _restore(model: keras.Model, folder: epath.Path, averaged: bool) -> None:
    """Restores the weights that were evaluated, and reads nothing of the optimizer."""
    checkpoint.check(folder)
    saved, group = checkpoint.read(folder), "averaged" if averaged else "model"
    for variable in model.variables:
        value = saved.get(f"{group}/{variable.path}")
        if value is None or value.shape != tuple(variable.shape):
            raise UsageError(
                f"{folder} does not fit the network of its own config.json ({variable.path}): "
                "give the --workdir of a run whose files were not changed."
            )
        variable.assign(value)
