"""How good the best checkpoint is: scores of every image, metrics, and the report."""

import csv
import io
import time

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import metrics, whole
from trainer.data import pipeline
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
        pixels = pipeline.pixels(split, config.data.image_size, config.data.cache)

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
        return Scores(*np.concatenate(parts, axis=1)).seen()


def write(
    workdir: epath.Path,
    split: pipeline.Split,
    scores: Scores,
    points: dict[str, float],
    best: dict,
    seed: int,
) -> dict:
    """Writes `evaluation/<split>.json` and `.csv`, a row an image, and returns the former.

    Args:
      workdir: of the run.
      split: what was scored.
      scores: of its images, in the order of its records.
      points: name -> threshold of each operating point.
      best: epoch and step of the checkpoint that was scored.
      seed: of the bootstrap.
    """
    names, patients = pipeline.identities(split)
    probability = metrics.probabilities(scores.logits)
    labels = scores.labels > 0.5
    result = {
        "split": split.name,
        "images": split.size,
        "patients": len(set(patients)),
        "classes": split.classes,
        "epoch": best["epoch"],
        "step": best["step"],
        "loss": metrics.measure(scores)["loss"],
        **metrics.evaluate(labels, probability, patients, points, seed),
    }
    folder = workdir / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / f"{split.name}.csv", names, patients, labels, probability)
    whole.write_json(folder / f"{split.name}.json", result)
    return result


def operating_points(validation: Scores) -> dict[str, float]:
    """Returns the thresholds that the test split is judged at, none of them chosen on it."""
    probability = metrics.probabilities(validation.logits)
    return {HALF: 0.5, CHOSEN: metrics.youden_threshold(validation.labels > 0.5, probability)}


def table(result: dict) -> str:
    """Returns the result as a table for the terminal."""

    def cell(metric: dict) -> str:
        if metric["value"] is None:
            return "not defined".center(24)
        return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})".center(24)

    lines = [
        f"{result['split']}: {result['images']} images of {result['patients']} patients, "
        f"best epoch {result['epoch']}; 95 % intervals over patients",
        f"{'AUC':<32}{cell(result['auc'])}",
        f"{'':<32}" + "".join(f"{n:^24}" for n in ("accuracy", "sensitivity", "specificity")),
    ]
    for point in result["operating_points"]:
        cells = "".join(cell(point[n]) for n in ("accuracy", "sensitivity", "specificity"))
        lines.append(f"{point['name'] + ' (' + format(point['threshold'], '.3f') + ')':<32}{cells}")
    return "\n".join(lines)


def _write_csv(
    file: epath.Path,
    names: list[str],
    patients: list[str],
    labels: np.ndarray,
    probability: np.ndarray,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "patient", "label", "score"])
    for row in zip(names, patients, labels.astype(int), probability, strict=True):
        writer.writerow([*row[:3], f"{row[3]:.9g}"])
    whole.write_text(file, text.getvalue())
