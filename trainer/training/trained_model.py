"""The network of a finished run, to be asked about images: its best weights, its thresholds."""

import io
import json
from dataclasses import dataclass
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
from trainer.data.decode import fit, radiograph
from trainer.data.prepare import ingest
from trainer.metrics import classification
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.system import gcs
from trainer.system.errors import UsageError

AT_ONCE = 32  # images that go through the network together


@dataclass(frozen=True)
class TrainedModel:
    """What a finished run has learned; nothing of it is trained further.

    Attributes:
      config: of the run.
      data: what the run knows of its data set, as in data_summary.json.
      evaluation: of the test split, as in evaluation/test.json.
      recipe: how the files of its data set became images.
      labels: names of the K labels.
      classes: the two class names where K is 1, the healthy one first; else none.
      thresholds: name of an operating point -> threshold of each label.
      temperatures: of each label, that calibrate its probability; 1 where the run has none.
      model: [n, S, S, C] float32 in 0..1 -> [n, K] logits, with the best weights.
    """

    config: ConfigDict
    data: dict
    evaluation: dict
    recipe: ingest.DecodeOptions
    labels: list[str]
    classes: list[str]
    thresholds: dict[str, list[float]]
    temperatures: list[float]
    model: keras.Model

    @classmethod
    def of(cls, workdir: epath.PathLike) -> "TrainedModel":
        """Reads the run under `workdir`, on this machine's default device.

        Raises:
          UsageError: if there is no finished run, or a record of it cannot be read.
          CheckpointsDamaged: if the best checkpoint is damaged.
        """
        workdir = epath.Path(workdir)
        if not gcs.is_folder(workdir):
            raise UsageError(f"there is no run at {workdir}: give the --workdir of a training.")
        evaluation = _record(workdir, "evaluation/test.json")
        data = _record(workdir, "data_summary.json")
        config = _config(workdir)
        try:
            of_labels = evaluation["labels"].values()
            names = [point["name"] for point in next(iter(of_labels))["operating_points"]]
            points = [
                {p["name"]: p["threshold"] for p in of["operating_points"]} for of in of_labels
            ]
            thresholds = {name: [of_label[name] for of_label in points] for name in names}
            temperatures = [of.get("calibration", {}).get("temperature", 1.0) for of in of_labels]
            best = evaluation["step"], evaluation["epoch"]
            recipe = ingest.DecodeOptions(data["max_side"], data["any_view"], data["uniform"])
            labels, classes = data["labels"], data["classes"]
        except (KeyError, TypeError, AttributeError, StopIteration) as error:
            raise _damaged(workdir, "evaluation/test.json or data_summary.json", error) from error
        model = _model(config, len(labels))
        _restore(model, checkpoint.path(workdir / "checkpoints", *best), config.train.ema > 0)
        return cls(
            config, data, evaluation, recipe, labels, classes, thresholds, temperatures, model
        )

    def read_image(self, path: epath.PathLike) -> np.ndarray:
        """Returns a user's file as the network sees it, [S, S, 1] uint8.

        It goes the way of the run's own data: what preparation stores of it, fitted to the square.

        Raises:
          radiograph.Unreadable: with the reason why it is no radiograph that can be used.
        """
        return self.fitted(self.stored(read_file(path)))

    def stored(self, data: bytes) -> Image.Image:
        """Returns what preparation would store of a file, in its own shape, grey.

        Raises:
          radiograph.Unreadable: with the reason why it is no radiograph that can be used.
        """
        recipe = self.recipe
        recoded = radiograph.recode(data, recipe.max_side, recipe.any_view, recipe.uniform)
        return Image.open(io.BytesIO(recoded))

    def fitted(self, stored: Image.Image) -> np.ndarray:
        """Returns a stored image as the network sees it, [S, S, 1] uint8."""
        return fit.fit(stored, self.config.data.image_size, self.config.data.fit)

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Returns images [n, S, S, 1] uint8 as the model takes them, [n, S, S, C] float32."""
        channels = self.config.model.channels
        return repeat_channels(images_to_float(tf.constant(images)), channels).numpy()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns the probability of each label, not calibrated.

        Args:
          images: [n, S, S, 1] uint8.

        Returns:
          [n, K] float64.
        """
        parts = [images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE)]
        logits = [self.model(self.inputs(part), training=False).numpy() for part in parts]
        return classification.probabilities(np.concatenate(logits))


def read_file(path: epath.PathLike) -> bytes:
    """Returns the bytes of a user's file.

    Raises:
      radiograph.Unreadable: with the reason why they cannot be had.
    """
    try:
        return epath.Path(path).read_bytes()
    except (OSError, tf.errors.OpError) as error:  # the latter of a bucket
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise radiograph.Unreadable(f"cannot be read: {reason}") from error


def _record(workdir: epath.Path, name: str) -> Any:
    file = workdir / name
    if not file.exists():
        raise UsageError(
            f"{workdir} lacks {name}: only a run that was trained to the end can be asked; give "
            "its training command again."
        )
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise _damaged(workdir, name, error) from error


def _config(workdir: epath.Path) -> ConfigDict:
    """Returns the run's config; a run may be older than a field, which then has its default."""
    try:
        return schema.from_saved(_record(workdir, "config.json"))
    except UsageError as error:
        raise _damaged(workdir, "config.json", error) from error


def _damaged(workdir: epath.Path, name: str, error: Exception) -> UsageError:
    said = str(error).splitlines()[0] if str(error) else repr(error)
    return UsageError(f"{workdir}/{name} cannot be read ({said}): train or evaluate the run again.")


def _model(config: ConfigDict, outputs: int) -> keras.Model:
    """Returns the network in the precision of the run, which is then no longer the default."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(config.precision)
    try:
        return models.build(config.model, config.data.image_size, outputs)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _restore(model: keras.Model, folder: epath.Path, averaged: bool) -> None:
    """Gives the model the weights that were evaluated, and reads nothing of the optimizer."""
    checkpoint.check(folder)
    saved, group = checkpoint.read(folder), "averaged" if averaged else "model"
    for variable in model.variables:
        value = saved.get(f"{group}/{variable.path}")
        if value is None or value.shape != tuple(variable.shape):
            raise UsageError(
                f"{folder} does not fit the network of its own config.json ({variable.path}): "
                "give the --workdir of a run that was changed by nobody."
            )
        variable.assign(value)
