"""How good the best checkpoint is: scores of every image, metrics, and the report."""

import csv
import io
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import examples, pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics import calibration, classification
from trainer.metrics.label_result import UNNAMED, LabelResult
from trainer.metrics.scores import Scores
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.training.loop_timer import LoopTimer
from trainer.training.step import Batch, evaluation_loop

HALF = "probability 0.5"
CHOSEN = "chosen on validation"
LONGEST = 37  # characters of a label and its counts in the table


class Chosen(NamedTuple):
    """What validation decides, so that the test split decides nothing.

    Attributes:
      points: name -> threshold of each label, of each operating point.
      temperatures: that calibrate each label.
    """

    points: dict[str, list[float]]
    temperatures: list[float]


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
        self._pace = LoopTimer(replicas, signals)

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
    chosen: Chosen,
    best: dict,
    seed: int,
) -> dict:
    """Writes `evaluation/<split>.json` and `.csv`, a row an image, and returns the former.

    Args:
      workdir: of the run.
      split: what was scored.
      scores: of its images, in the order of its records.
      chosen: on validation.
      best: epoch and step of the checkpoint that was scored.
      seed: of the bootstrap.
    """
    names, patients = examples.identities(split)
    probability = classification.probabilities(scores.logits)
    measured = classification.evaluate(
        scores.labels, probability, patients, split.labels, chosen.points, seed
    )
    columns = zip(scores.logits.T, scores.labels.T, chosen.temperatures, strict=True)
    for of, column in zip(measured["labels"].values(), columns, strict=True):
        of["calibration"] = calibration.before_and_after(*column)
    result = {
        "split": split.name,
        "images": split.size,
        "patients": len(set(patients)),
        "classes": split.classes,
        "epoch": best["epoch"],
        "step": best["step"],
        "loss": classification.measure_all(scores, split.labels)["loss"],
        **measured,
    }
    folder = workdir / "evaluation"
    _write_csv(
        folder / f"{split.name}.csv", split.labels, names, patients, scores.labels, probability
    )
    atomic.write_json(folder / f"{split.name}.json", result)
    return result


def chosen_on(validation: Scores) -> Chosen:
    """Returns the thresholds that a split is judged at, and the temperatures, of each label."""
    columns = list(zip(validation.logits.T, validation.labels.T, strict=True))
    thresholds = [
        classification.youden_threshold(of, classification.probabilities(x)) for x, of in columns
    ]
    points = {HALF: [0.5] * len(columns), CHOSEN: thresholds}
    return Chosen(points, [calibration.temperature(*column) for column in columns])


def read_judged(workdir: epath.Path, split: str) -> list[LabelResult]:
    """Returns what `write` wrote of a split: each label, where it is known.

    A label's classes are those of the data set, or "absent" and "present" with several labels.

    Raises:
      UsageError: one of the files cannot be read.
    """
    file = workdir / f"evaluation/{split}.json"
    try:
        result = json.loads(file.read_text())
        found = {name: _judged(name, of, result) for name, of in result["labels"].items()}
        file = workdir / f"evaluation/{split}.csv"
        rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
        columns = zip(found.values(), score_columns(list(found)), strict=True)
        return [_with_rows(judged, rows, *names) for judged, names in columns]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} cannot be read ({error}): train or evaluate the run again."
        ) from error


def score_columns(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what the columns of `<split>.csv` are called: (label, score) for each label."""
    if len(labels) == 1:
        return [("label", "score")]
    return [(f"label {name}", f"score {name}") for name in labels]


def table(result: dict) -> str:
    """Returns the result as a table for the terminal, at most 110 columns wide."""
    head = (
        f"{result['split']}: {result['images']} images of {result['patients']} patients, "
        f"best epoch {result['epoch']}; 95 % intervals over patients"
    )
    lines = _lines_of_many(result) if len(result["labels"]) > 1 else _lines_of_one(result)
    return "\n".join([head, *lines])


def _lines_of_one(result: dict) -> list[str]:
    """The areas under the curves, the calibration, and a row an operating point."""
    (of,) = result["labels"].values()
    rates = ("accuracy", "sensitivity", "specificity")
    lines = [
        f"{'AUC':<32}{_cell(of['auc'])}",
        f"{'average precision':<32}{_cell(of['average_precision'])}",
        f"{'calibration error (ECE)':<33}{_calibration(of['calibration'])}",
        "",
        f"{'':<32}" + "".join(f"{name:^24}" for name in rates),
    ]
    for point in of["operating_points"]:
        title = f"{point['name']} ({point['threshold']:.3f})"
        lines.append(f"{title:<32}" + "".join(_cell(point[rate]) for rate in rates))
    return [line.rstrip() for line in lines]


def _lines_of_many(result: dict) -> list[str]:
    """The means over the labels, and two rows a label: the areas, and the point chosen."""
    areas, rates = ("auc", "average_precision"), ("sensitivity", "specificity")
    titles = ["mean over the labels"]
    for name, of in result["labels"].items():
        counts = f" ({of['positive']} of {of['positive'] + of['negative']})"
        room = LONGEST - len(counts)
        titles.append((name if len(name) <= room else name[: room - 1] + "…") + counts)
    width = max(len(title) for title in titles) + 1

    def row(title: str, *cells: str) -> str:
        return f"{title:<{width}}" + "".join(f"{cell:^24}" for cell in cells).rstrip()

    lines = [
        row("", "AUC", "average precision", "calibration error (ECE)"),
        row(titles[0], *(_cell(result[area]) for area in areas)),
    ]
    for title, of in zip(titles[1:], result["labels"].values(), strict=True):
        both = _before_and_after(of["calibration"])
        lines.append(row(title, *(_cell(of[area]) for area in areas), both))
    lines += ["", row(CHOSEN, *rates, "threshold")]
    for title, of in zip(titles[1:], result["labels"].values(), strict=True):
        point = next(p for p in of["operating_points"] if p["name"] == CHOSEN)
        cells = (_cell(point[rate]) for rate in rates)
        lines.append(row(title, *cells, f"{point['threshold']:.3f}"))
    return lines


def _cell(metric: Mapping) -> str:
    if metric["value"] is None:
        return "not defined".center(24)
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})".center(24)


def _calibration(of: Mapping) -> str:
    """How far the probability is off, and at the temperature that validation chose."""
    return f"{_before_and_after(of)} at temperature {of['temperature']:.2f}"


def _before_and_after(of: Mapping) -> str:
    if of["before"]["ece"] is None:
        return "not defined"
    return f"{of['before']['ece']:.3f} -> {of['after']['ece']:.3f}"


def _judged(name: str, of: Mapping, result: Mapping) -> LabelResult:
    """Returns what the JSON tells of a label, without its images."""
    nothing = np.zeros(0)
    return LabelResult(
        name=name,
        classes=result["classes"] or UNNAMED,
        labels=nothing,
        probability=nothing,
        patients=[],
        points=of["operating_points"],
        temperature=of.get("calibration", {"temperature": 1.0})["temperature"],
        split=result["split"],
        auc=of["auc"],
        average_precision=of.get("average_precision"),
    )


def _with_rows(judged: LabelResult, rows: Sequence[Mapping], label: str, score: str) -> LabelResult:
    """Returns it with the images of which the label is known."""
    known = [row for row in rows if row[label] != ""]
    return judged._replace(
        labels=np.array([int(row[label]) for row in known], int),
        probability=np.array([float(row[score]) for row in known], float),
        patients=[row["patient"] for row in known],
    )


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
    atomic.write_text(file, text.getvalue())
