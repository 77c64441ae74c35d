"""Figures of a network and a split: pictures and histograms, each drawn when its turn comes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import data_split, examples, pipeline
from trainer.metrics import classification, decisions
from trainer.metrics.label_result import LabelResult
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.models import attribution, layer_outputs, views
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.show.charts.confusion import class_confusion_chart
from trainer.show.charts.label_charts import label_charts
from trainer.show.label_tags import tags_of
from trainer.show.pictures.activations import activation_montage, activation_thumbnail
from trainer.show.pictures.filters import filter_montage
from trainer.show.pictures.gallery import error_gallery
from trainer.show.pictures.heat import heat_sheet
from trainer.show.pictures.thumbnail import TileRow, thumbnail
from trainer.show.pictures.tiles import Sheet
from trainer.show.summaries import Figure

EXPLAINED_ERRORS = 4  # in one sheet
GROUPS = 2  # of fixed examples: both classes, or no label and the most frequent one
MOST_CLASSES = 6  # that have fixed examples where classes exclude one another


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
      outputs: what the network's outputs are.
    """

    def __init__(
        self,
        config: ConfigDict,
        model: keras.Model,
        split: data_split.Split,
        *,
        outputs: IndependentLabels = INDEPENDENT,
    ):
        self._config, self._model, self._split = config, model, split
        self._outputs = outputs

    def network(self, whole: bool = False) -> Iterator[Figure]:
        """Yields what the network has learnt: weights, activations and explanations.

        Args:
          whole: with every channel of each layer and with integrated gradients, too, which take
            several times as long as the rest.
        """
        colour_map = self._config.summaries.colour_map
        name, filters = layer_outputs.first_filters(self._model)
        yield Figure(f"filters/{name}", "picture", *filter_montage(name, filters, colour_map))
        for variable in self._model.trainable_variables:
            yield Figure(f"weights/{variable.path}", "histogram", variable.numpy())
        fixed = self._fixed
        names = layer_outputs.inner_layers(self._model)
        found = self._explanation(fixed, shown=names)
        channels = {"activations": self._config.summaries.channels}
        if whole:
            channels["activations_whole"] = None
        for number, (layer, values) in enumerate(found.shown.items(), 1):
            for tag, count in channels.items():
                picture = activation_montage(
                    layer, values, fixed.captions, max_channels=count, colour_map=colour_map
                )
                small = None
                if tag == "activations":
                    small = activation_thumbnail(
                        layer, values, fixed.captions, colour_map=colour_map
                    )
                yield Figure(f"{tag}/{number:02d}_{layer}", "picture", *picture, small=small)
            yield Figure(f"outputs/{number:02d}_{layer}", "histogram", values)
        explained = self._explained(fixed, found, "fixed examples", integrated=whole)
        yield Figure("explanations/examples", "picture", *explained)

    def evaluation(
        self, results: Iterable[LabelResult], scores: Scores, thresholds: Sequence[float]
    ) -> Iterator[Figure]:
        """Yields the charts of each label, the worst errors, and what explains them.

        Args:
          results: of each label.
          scores: of the split, in the order of its records.
          thresholds: logits at and above which a label is predicted, [K].
        """
        tags = tags_of(self._split.labels)
        for result in results:
            for name, chart in label_charts(result).items():
                yield Figure(f"{tags[result.name]}/{name}", "picture", chart.pixels())
        if scores.outputs.exclusive:
            counts, names = decisions.confusion_matrix(scores), self._split.labels
            chart = class_confusion_chart(counts, names, self._split.name)
            yield Figure("confusion", "picture", chart.pixels())
        wrong = self._worst_errors(scores, thresholds)
        rows = [(kind, found.images, found.captions) for kind, found in wrong]
        where = self._where_errors_begin(scores, thresholds)
        title = f"Errors on {self._split.name}, {where}"
        gallery = error_gallery(rows, title)
        small = thumbnail(
            f"Errors on {self._split.name}", [TileRow(kind, found.images) for kind, found in wrong]
        )
        yield Figure("errors", "picture", *gallery, small=small)
        chosen = _first_errors(wrong)
        explained = gallery
        if chosen.captions:
            found = self._explanation(chosen)
            explained = self._explained(chosen, found, "the worst errors", integrated=True)
        yield Figure("explanations/errors", "picture", *explained)

    @cached_property
    def _fixed(self) -> Examples:
        groups = examples.groups(self._split)[: MOST_CLASSES if self._split.exclusive else GROUPS]
        images, names, shown_groups = examples.first_of_each_group(
            self._split, self._config.data, self._config.summaries.examples, wanted=groups
        )
        labels = self._split.labels
        outputs = [labels.index(group) if group in labels else 0 for group in shown_groups]
        captions = [
            f"{group}: {_stem(name)}" for group, name in zip(shown_groups, names, strict=True)
        ]
        return Examples(images, captions, outputs)

    def _floats(self, images: np.ndarray) -> np.ndarray:
        """Returns [n, S, S, 1] uint8 as the network takes them."""
        grey = images_to_float(tf.constant(images))
        return repeat_channels(grey, self._model.input_shape[-1]).numpy()

    def _explanation(self, chosen: Examples, shown: Sequence[str] = ()) -> attribution.GradCam:
        floats, count = self._floats(chosen.images), self._config.model.views
        found = attribution.grad_cam(self._model, floats, chosen.outputs, shown=shown)
        if count == 1:
            return found
        # The evidence is of the image as it is, the answer of all its views.
        return found._replace(logits=views.answer(self._model, tf.constant(floats), count).numpy())

    def _explained(
        self, chosen: Examples, found: attribution.GradCam, what: str, *, integrated: bool
    ) -> Sheet:
        """Returns the evidence by Grad-CAM and, which takes 16 times as long, its integral."""
        log_odds, outputs = self._outputs.log_odds(found.logits), chosen.outputs
        probability = classification.probabilities(log_odds)
        maps = {f"Grad-CAM {layer}": heat for layer, heat in found.evidence.items()}
        if integrated:
            floats = self._floats(chosen.images)
            gradients = attribution.integrated_gradients(self._model, floats, outputs)
            maps["integrated gradients"] = np.maximum(gradients, 0)
        labels = self._split.labels
        captions = [
            f"{caption}\n{labels[k]} {row[k]:.3f}"
            for caption, row, k in zip(chosen.captions, probability, outputs, strict=True)
        ]
        several = "the class" if self._outputs.exclusive else "the label"
        title = f"Evidence for {labels[0] if len(labels) == 1 else several}"
        return heat_sheet(f"{title}: {what}", chosen.images, maps, captions=captions)

    def _where_errors_begin(self, scores: Scores, thresholds: Sequence[float]) -> str:
        """Returns what makes an image an error, and the order of the errors."""
        if scores.outputs.exclusive:
            return "the likeliest class is predicted; largest lead over the right one first"
        if len(thresholds) > 1:
            return "each label at its threshold; furthest from it first"
        (threshold,) = classification.probabilities(np.asarray(thresholds))
        return f"predicted from {threshold:.2f} on; furthest from this threshold first"

    def _worst_errors(
        self, scores: Scores, thresholds: Sequence[float]
    ) -> list[tuple[str, Examples]]:
        """Returns what kind they are, and the false positives and the false negatives."""
        if scores.outputs.exclusive:
            return self._errors_by_class(scores)
        probability = classification.probabilities(scores.logits)
        above = scores.logits - np.asarray(thresholds, np.float64)
        found = []
        for label, kind, errors in (
            (0, "false positives", (above >= 0) & (scores.labels == 0)),
            (1, "false negatives", (above < 0) & (scores.labels == 1)),
        ):
            rows, outputs = np.nonzero(errors)
            distance = above[rows, outputs] * (1 - 2 * label)
            first = np.argsort(-distance, kind="stable")[: self._config.summaries.errors]
            rows, outputs = rows[first], outputs[first]
            found.append((self._title(kind, label), self._errors(rows, outputs, probability)))
        return found

    def _errors_by_class(self, scores: Scores) -> list[tuple[str, Examples]]:
        """Returns the images of each class that are taken for another, and for which."""
        probability = classification.probabilities(scores.logits)
        predicted, found = scores.outputs.decide(scores.logits), []
        for k, label in enumerate(self._split.labels):
            wrong = predicted & (scores.labels[:, k] == 1)[:, None]
            wrong[:, k] = False
            rows, outputs = np.nonzero(wrong)
            lead = scores.logits[rows, outputs] - scores.logits[rows, k]
            first = np.argsort(-lead, kind="stable")[: self._config.summaries.errors]
            errors = self._errors(rows[first], outputs[first], probability)
            found.append((f"errors: {label} predicted as another class", errors))
        return found

    def _title(self, kind: str, label: int) -> str:
        if not self._split.classes:
            return kind
        return f"{kind}: {self._split.classes[label]} predicted as {self._split.classes[1 - label]}"

    def _errors(self, rows: np.ndarray, outputs: np.ndarray, probability: np.ndarray) -> Examples:
        side, several = self._config.data.image_size, len(self._split.labels) > 1
        names, _ = examples.identities(self._split)
        captions = [
            f"{_stem(names[row])}\n{self._split.labels[k] + ' ' if several else ''}"
            f"{probability[row, k]:.3f}"
            for row, k in zip(rows, outputs, strict=True)
        ]
        if not rows.size:
            return Examples(np.zeros((0, side, side, 1), np.uint8), [], [])
        fit_mode = self._config.data.fit
        images = pipeline.read_images(self._split, rows, side, fit_mode=fit_mode)
        return Examples(images, captions, outputs)


def _first_errors(wrong: Sequence[tuple[str, Examples]]) -> Examples:
    """Returns the worst errors of each kind."""
    half = max(EXPLAINED_ERRORS // len(wrong), 1)
    captions, outputs = [], []
    for kind, found in wrong:
        word = kind.split(":")[0].removesuffix("s")
        captions += [f"{word}: {caption.splitlines()[0]}" for caption in found.captions[:half]]
        outputs += list(found.outputs[:half])
    return Examples(np.concatenate([found.images[:half] for _, found in wrong]), captions, outputs)


def _stem(name: str) -> str:
    """Returns a file's name without folder and kind, to leave room for what tells it apart."""
    return PurePosixPath(name).stem
