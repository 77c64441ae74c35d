"""Figures of a network and a split: pictures and histograms.

Each figure has a function that draws it: what is not written is not drawn.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import examples, pipeline
from trainer.metrics import classification
from trainer.metrics.label_result import LabelResult
from trainer.metrics.operating_points import OperatingPoints
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores
from trainer.models import attribution, layer_outputs
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.show.charts.label_charts import label_charts
from trainer.show.pictures.activations import activation_montage
from trainer.show.pictures.filters import filter_montage
from trainer.show.pictures.gallery import error_gallery
from trainer.show.pictures.heat import heat_sheet

CHARTS = ("roc", "precision_recall", "calibration", "scores", "confusion")
CHARTS_OF_ONE_CLASS = CHARTS[-2:]
EXPLAINED_ERRORS = 4  # in one sheet
GROUPS = 2  # of fixed examples: the classes, or no label and the most frequent one


class Figure(NamedTuple):
    """Something to show.

    Attributes:
      tag: its name, as in TensorBoard.
      kind: "picture" or "histogram".
      draw: returns [H, W, 3] uint8, or the values of the histogram.
    """

    tag: str
    kind: str
    draw: Callable[[], np.ndarray]


class Examples(NamedTuple):
    """Some images of a split, in the order in which they are shown.

    Attributes:
      images: [n, S, S, 1] uint8.
      captions: n, who they are.
      outputs: [n] int, the label that each is explained for.
    """

    images: np.ndarray
    captions: Sequence[str]
    outputs: Sequence[int] | np.ndarray


class Figures:
    """All that can be shown of one network and one split.

    Args:
      config: of the run.
      model: the network; it may be trained further.
      split: where the examples come from.
    """

    def __init__(self, config: ConfigDict, model: keras.Model, split: pipeline.Split):
        self._config, self._model, self._split = config, model, split
        self._inner = layer_outputs.activation_model(model)
        data = config.data
        self._pixels = pipeline.pixels(split, data.image_size, "none", fit_mode=data.fit)

    def weights(self) -> list[Figure]:
        """Returns what does not depend on images: the first filters, and how weights spread."""
        variables = self._model.trainable_variables
        name, _ = layer_outputs.first_filters(self._model)
        return [
            Figure(f"filters/{name}", "picture", self._filters),
            *(Figure(f"weights/{v.path}", "histogram", v.numpy) for v in variables),
        ]

    def activations(self, whole: bool = False) -> list[Figure]:
        """Returns what each inner layer makes of the fixed examples.

        Args:
          whole: with every channel of each layer too.
        """
        maps = _Once(
            lambda: layer_outputs.activation_maps(self._inner, self._floats(self._fixed.images))
        )
        found = []
        for number, layer in enumerate(self._inner.output_names, 1):
            name = f"{number:02d}_{layer}"
            draw = partial(self._montage, maps, layer, self._config.summaries.channels)
            found.append(Figure(f"activations/{name}", "picture", draw))
            if whole:
                draw = partial(self._montage, maps, layer, None)
                found.append(Figure(f"activations_whole/{name}", "picture", draw))
            values = partial(lambda layer: maps()[layer], layer)
            found.append(Figure(f"activation_values/{name}", "histogram", values))
        return found

    def explanations(self) -> list[Figure]:
        """Returns where the network sees evidence for the labels of the fixed examples."""
        draw = partial(self._explained, lambda: self._fixed, "fixed examples")
        return [Figure("explanations/examples", "picture", draw)]

    def label_charts(
        self, read: Callable[[], Sequence[LabelResult]], scores: Scores
    ) -> list[Figure]:
        """Returns the charts of each label.

        Args:
          read: returns the result of each label.
          scores: of the split; a label of one class has fewer charts.
        """
        results, found = _Once(read), []
        for number, label in enumerate(self._split.labels):
            charts = _Once(partial(lambda number: label_charts(results()[number]), number))
            has_both_classes = {0, 1} <= set(scores.labels[:, number])
            for name in CHARTS if has_both_classes else CHARTS_OF_ONE_CLASS:
                draw = partial(lambda charts, name: charts()[name].pixels(), charts, name)
                found.append(Figure(f"{tag_of(label)}/{name}", "picture", draw))
        return found

    def label_results(self, scores: Scores, points: OperatingPoints) -> list[LabelResult]:
        """Returns the result of each label for these scores of the split."""
        images, patients = self._identities
        split = self._split
        return Predictions(
            split.name, split.labels, split.classes, images, patients, scores
        ).label_results(points)

    def graph(self) -> tf.Graph:
        """Returns the network's graph, as in inference."""
        shape = (1, *self._model.input_shape[1:])
        inference = tf.function(lambda images: self._model(images, training=False))
        return inference.get_concrete_function(tf.TensorSpec(shape)).graph

    def errors(self, scores: Scores, thresholds: Sequence[float]) -> list[Figure]:
        """Returns the most confident errors, and what explains them.

        Args:
          scores: of the split, in the order of its records.
          thresholds: logits at and above which a label is predicted, [K].
        """
        wrong = _Once(partial(self._most_confident_errors, scores, thresholds))
        return [
            Figure("errors", "picture", partial(self._gallery, wrong)),
            Figure("explanations/errors", "picture", partial(self._explained_errors, wrong)),
        ]

    @cached_property
    def _fixed(self) -> Examples:
        groups = examples.groups(self._split)[:GROUPS]
        images, names, shown_groups = examples.first_of_each_group(
            self._split, self._config.data, self._config.summaries.examples, wanted=groups
        )
        labels = self._split.labels
        outputs = [labels.index(group) if group in labels else 0 for group in shown_groups]
        captions = [
            f"{group}: {_stem(name)}" for group, name in zip(shown_groups, names, strict=True)
        ]
        return Examples(images, captions, outputs)

    @cached_property
    def _identities(self) -> tuple[list[str], list[str]]:
        names, patients = examples.identities(self._split)
        return [_stem(name) for name in names], patients

    def _floats(self, images: np.ndarray) -> np.ndarray:
        """Returns [n, S, S, 1] uint8 as the network takes them."""
        grey = images_to_float(tf.constant(images))
        return repeat_channels(grey, self._model.input_shape[-1]).numpy()

    def _filters(self) -> np.ndarray:
        name, filters = layer_outputs.first_filters(self._model)
        return filter_montage(name, filters, self._config.summaries.colour_map)

    def _montage(self, maps: "_Once", layer: str, channels: int | None) -> np.ndarray:
        colour_map, captions = self._config.summaries.colour_map, self._fixed.captions
        return activation_montage(
            layer, maps()[layer], captions, max_channels=channels, colour_map=colour_map
        )

    def _explained(self, chosen: Callable[[], Examples], what: str) -> np.ndarray:
        found = chosen()
        floats, outputs = self._floats(found.images), found.outputs
        logits = self._model(floats, training=False)
        probability = classification.probabilities(np.asarray(logits, np.float32))
        ((layer, cam),) = attribution.grad_cam(self._model, floats, outputs).items()
        gradients = attribution.integrated_gradients(self._model, floats, outputs)
        labels = self._split.labels
        captions = [
            f"{caption}\n{labels[k]} {row[k]:.3f}"
            for caption, row, k in zip(found.captions, probability, outputs, strict=True)
        ]
        maps = {f"Grad-CAM {layer}": cam, "integrated gradients": np.maximum(gradients, 0)}
        title = f"Evidence for {labels[0]}" if len(labels) == 1 else "Evidence for the label"
        colour_map = self._config.summaries.colour_map
        return heat_sheet(
            f"{title}: {what}", found.images, maps, captions=captions, colour_map=colour_map
        )

    def _most_confident_errors(
        self, scores: Scores, thresholds: Sequence[float]
    ) -> list[tuple[str, Examples]]:
        """Returns what kind they are, and the false positives and the false negatives."""
        probability = classification.probabilities(scores.logits)
        predicted = scores.logits >= np.asarray(thresholds, np.float64)
        found = []
        for label, kind, errors in (
            (0, "false positives", predicted & (scores.labels == 0)),
            (1, "false negatives", ~predicted & (scores.labels == 1)),
        ):
            rows, outputs = np.nonzero(errors)
            confidence = scores.logits[rows, outputs] * (1 - 2 * label)
            first = np.argsort(-confidence, kind="stable")[: self._config.summaries.errors]
            rows, outputs = rows[first], outputs[first]
            found.append((self._title(kind, label), self._errors(rows, outputs, probability)))
        return found

    def _title(self, kind: str, label: int) -> str:
        if not self._split.classes:
            return kind
        return f"{kind}: {self._split.classes[label]} predicted as {self._split.classes[1 - label]}"

    def _errors(self, rows: np.ndarray, outputs: np.ndarray, probability: np.ndarray) -> Examples:
        side, several = self._config.data.image_size, len(self._split.labels) > 1
        names, _ = self._identities
        captions = [
            f"{names[row]}\n{self._split.labels[k] + ' ' if several else ''}"
            f"{probability[row, k]:.3f}"
            for row, k in zip(rows, outputs, strict=True)
        ]
        if not rows.size:
            return Examples(np.zeros((0, side, side, 1), np.uint8), [], [])
        numbers = tf.data.Dataset.from_tensors(tf.constant(rows, tf.int64))
        images, _ = next(iter(self._pixels.look_up(numbers)))
        return Examples(images.numpy(), captions, outputs)

    def _gallery(self, wrong: "_Once") -> np.ndarray:
        rows = [(kind, found.images, found.captions) for kind, found in wrong()]
        return error_gallery(rows, f"Most confident errors, {self._split.name}")

    def _explained_errors(self, wrong: "_Once") -> np.ndarray:
        """Returns the most confident errors of both kinds, explained."""
        half = EXPLAINED_ERRORS // 2
        images = np.concatenate([found.images[:half] for _, found in wrong()])
        captions, outputs = [], []
        for kind, found in wrong():
            word = kind.split(":")[0].removesuffix("s")
            captions += [f"{word}: {c.splitlines()[0]}" for c in found.captions[:half]]
            outputs += list(found.outputs[:half])
        if not captions:
            return self._gallery(wrong)
        chosen = Examples(images, captions, outputs)
        return self._explained(lambda: chosen, "most confident errors")


def _stem(name: str) -> str:
    """Returns a file's name without folder and kind, to leave room for what tells it apart."""
    return PurePosixPath(name).stem


def tag_of(label: str) -> str:
    """Returns a label's name as part of a tag and of a path."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)


class _Once:
    """A value that is computed when it is first asked for."""

    def __init__(self, compute: Callable):
        self._compute, self._value = compute, None

    def __call__(self):
        if self._value is None:
            self._value = self._compute()
        return self._value
