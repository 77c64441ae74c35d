"""How good the best checkpoint is: scores of every image, metrics, and the report."""

import csv
import io
import itertools
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import metrics, whole
from trainer.data import examples, pipeline
from trainer.distribute import Replicas
from trainer.pace import Pace
from trainer.preemption import StopSignals
from trainer.step import Batch, Scores, evaluation_loop

HALF = "probability 0.5"
CHOSEN = "chosen on validation"


class Evaluator:
    """Scores one split with one network, as often as asked.

    Args:
      replicas: where the network runs.
      model: the network.
      split: what it is judged on.
      config: of the run.
      signals: that end it between two loops.
    """

    def __init__(
        self,
        replicas: Replicas,
        model: tf.keras.Model,
        split: pipeline.Split,
        config: ConfigDict,
        signals: StopSignals,
    ):
        batch = config.train.batch_size
        data = config.data
        pixels = pipeline.pixels(split, data.image_size, data.cache, data.fit)

        def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return pipeline.evaluation_batches(pixels, batch, context).repeat()

        self._batches: tf.distribute.DistributedDataset[Batch] = (
            replicas.strategy.distribute_datasets_from_function(batches)
        )
        self._loop = evaluation_loop(replicas.strategy, model, batch)
        self._steps = pipeline.steps(split.size, batch)
        self._pace = Pace(replicas, signals)

    def scores(self) -> Scores:
        """Returns logits and labels of every image, in the order of the records.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
        """
        batches, parts, done = iter(self._batches), [], 0
        while done < self._steps:
            steps, began = self._pace.steps(self._steps - done), time.perf_counter()
            parts.append(self._loop(batches, steps))
            self._pace.end_loop(steps, time.perf_counter() - began)
            done += steps
        return Scores.of_columns(np.concatenate([part.columns() for part in parts])).seen()


def write(
    workdir: epath.Path,
    split: pipeline.Split,
    scores: Scores,
    points: dict[str, list[float]],
    best: dict,
    seed: int,
) -> dict:
    """Writes `evaluation/<split>.json` and `.csv`, a row an image, and returns the former.

    Args:
      workdir: of the run.
      split: what was scored.
      scores: of its images, in the order of its records.
      points: name -> threshold of each label, of each operating point.
      best: epoch and step of the checkpoint that was scored.
      seed: of the bootstrap.
    """
    names, patients = examples.identities(split)
    probability = metrics.probabilities(scores.logits)
    result = {
        "split": split.name,
        "images": split.size,
        "patients": len(set(patients)),
        "classes": split.classes,
        "epoch": best["epoch"],
        "step": best["step"],
        "loss": metrics.measure_all(scores, split.labels)["loss"],
        **metrics.evaluate(scores.labels, probability, patients, split.labels, points, seed),
    }
    folder = workdir / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(
        folder / f"{split.name}.csv", split.labels, names, patients, scores.labels, probability
    )
    whole.write_json(folder / f"{split.name}.json", result)
    return result


def operating_points(validation: Scores) -> dict[str, list[float]]:
    """Returns the thresholds that the test split is judged at, none of them chosen on it.

    Each name has one for each label.
    """
    columns = zip(validation.labels.T, metrics.probabilities(validation.logits).T, strict=True)
    chosen = [metrics.youden_threshold(labels, probability) for labels, probability in columns]
    return {HALF: [0.5] * len(chosen), CHOSEN: chosen}


def score_columns(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what the columns of `<split>.csv` are called: (label, score) for each label."""
    if len(labels) == 1:
        return [("label", "score")]
    return [(f"label {name}", f"score {name}") for name in labels]


def table(result: dict) -> str:
    """Returns the result as a table for the terminal."""

    def cell(metric: dict) -> str:
        if metric["value"] is None:
            return "not defined".center(24)
        return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})".center(24)

    rates, labels = ("accuracy", "sensitivity", "specificity"), result["labels"]
    lines = [
        f"{result['split']}: {result['images']} images of {result['patients']} patients, "
        f"best epoch {result['epoch']}; 95 % intervals over patients"
    ]
    if len(labels) > 1:
        lines.append(f"{'AUC, mean over the labels':<32}{cell(result['auc'])}\n")
        lines.append(f"{CHOSEN:<32}" + "".join(f"{n:^24}" for n in ("AUC", *rates[1:])))
        for name, of in labels.items():
            point = next(p for p in of["operating_points"] if p["name"] == CHOSEN)
            title = f"{name} ({of['positive']} of {of['positive'] + of['negative']})"
            cells = (of["auc"], *(point[rate] for rate in rates[1:]))
            lines.append(f"{title:<32}" + "".join(map(cell, cells)))
        return "\n".join(lines)
    (of,) = labels.values()
    lines.append(f"{'AUC':<32}{cell(of['auc'])}")
    lines.append(f"{'':<32}" + "".join(f"{n:^24}" for n in rates))
    for point in of["operating_points"]:
        title = f"{point['name']} ({point['threshold']:.3f})"
        lines.append(f"{title:<32}" + "".join(cell(point[rate]) for rate in rates))
    return "\n".join(lines)


def _write_csv(
    file: epath.Path,
    labels: Sequence[str],
    names: list[str],
    patients: list[str],
    known: np.ndarray,
    probability: np.ndarray,
) -> None:
    """Writes a row an image; a label that is not known is left blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "patient", *itertools.chain(*score_columns(labels))])
    for name, patient, values, scores in zip(names, patients, known, probability, strict=True):
        both = [
            cell
            for value, score in zip(values, scores, strict=True)
            for cell in ("" if value < 0 else int(value), f"{score:.9g}")
        ]
        writer.writerow([name, patient, *both])
    whole.write_text(file, text.getvalue())
