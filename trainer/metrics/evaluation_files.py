"""Files of an evaluation: `evaluation/SPLIT.json`, and `SPLIT.csv` with a row for each image."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath
from scipy import special

from trainer.metrics import classification
from trainer.metrics.label_result import (
    OTHER_CLASSES,
    UNNAMED_CLASSES,
    LabelResult,
    threshold_logit,
)
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores
from trainer.system import atomic, json_files
from trainer.system.printable import cell, printable, text_of_cell

FOLDER = "evaluation"  # in the work directory
LARGEST_LOGIT = 40.0  # of a probability of 0 or 1


def write(workdir: epath.Path, predictions: Predictions, evaluation: dict) -> None:
    """Writes both files of one split.

    Args:
      workdir: of the run.
      predictions: for the split.
      evaluation: what `predictions.evaluate` returned.
    """
    atomic.write_text(_file(workdir, predictions.split, "csv"), _csv(predictions))
    atomic.write_json(_file(workdir, predictions.split, "json"), evaluation)


def read(workdir: epath.Path, split: str) -> dict:
    """Returns the evaluation of a split.

    Raises:
      UsageError: the file cannot be read.
    """
    return json_files.read(_file(workdir, split, "json"))


def read_predictions(workdir: epath.Path, split: str) -> Predictions:
    """Returns the scores of every image of a split, as they were written.

    Raises:
      UsageError: one of the files cannot be read.
    """
    evaluation = read(workdir, split)
    with json_files.damage_reported(_file(workdir, split, "json")):
        labels, classes = list(evaluation["labels"]), evaluation["classes"]
        images, outputs = evaluation["images"], INDEPENDENT
        if evaluation.get("exclusive", False):
            outputs = EXCLUSIVE
    with json_files.damage_reported(_file(workdir, split, "csv")):
        rows = _rows(workdir, split)
        if len(rows) != images:
            raise ValueError(f"it has {len(rows):,} rows, but {split}.json {images:,} images")
        names, patients = (
            [text_of_cell(row[column]) for row in rows] for column in ("name", "patient")
        )
        shape = (len(rows), len(labels))
        known, logits = np.full(shape, -1.0, np.float32), np.zeros(shape)
        for k, (label, score, logit) in enumerate(_columns(labels)):
            known[:, k] = [int(row[label] or -1) for row in rows]
            logits[:, k] = [_logit(row.get(logit), row[score]) for row in rows]
        scores = Scores(logits, known, np.ones(len(rows), np.float32), outputs)
        return Predictions(split, labels, classes, names, patients, scores)


def temperatures(evaluation: Mapping) -> list[float]:
    """Returns the temperature of each label, as validation has found it."""
    return [label["calibration"]["temperature"] for label in evaluation["labels"].values()]


def thresholds(evaluation: Mapping, point: str) -> list[float]:
    """Returns the logit from which on each label is predicted at an operating point, by name."""
    found = []
    for label in evaluation["labels"].values():
        points = {each["name"]: each for each in label["operating_points"]}
        found.append(float(threshold_logit(points[point])))
    return found


def label_results(evaluation: Mapping, predictions: Predictions) -> list[LabelResult]:
    """Returns each label of a split with the images for which it is known.

    A label's classes are those of the data set, or "absent" and "present" with several labels;
    those of an exclusive class are all others and itself.

    Args:
      evaluation: of the split, as in `SPLIT.json`.
      predictions: for the same split.
    """
    scores, patients = predictions.scores, np.array(predictions.patients, object)
    exclusive, results = scores.outputs.exclusive, []
    found = temperatures(evaluation)
    calibrated = scores.outputs.calibrated(scores.logits, found) if exclusive else None
    for k, (name, label) in enumerate(evaluation["labels"].items()):
        known = scores.labels[:, k] >= 0
        others = (OTHER_CLASSES, name) if exclusive else UNNAMED_CLASSES
        results.append(
            LabelResult(
                name=name,
                classes=evaluation["classes"] or others,
                labels=scores.labels[known, k].astype(int),
                logits=scores.logits[known, k].astype(np.float64),
                patients=patients[known].tolist(),
                operating_points=label["operating_points"],
                temperature=found[k],
                split=evaluation["split"],
                auc=label["auc"],
                average_precision=label["average_precision"],
                calibrated_logits=None if calibrated is None else calibrated[known, k],
            )
        )
    return results


def read_label_results(workdir: epath.Path, split: str) -> list[LabelResult]:
    """Returns each label of a split with its images, see `label_results`.

    Raises:
      UsageError: one of the files cannot be read.
    """
    evaluation, predictions = read(workdir, split), read_predictions(workdir, split)
    with json_files.damage_reported(_file(workdir, split, "json")):
        return label_results(evaluation, predictions)


def read_image_names(workdir: epath.Path, split: str) -> list[str]:
    """Returns the names of the images of a split, in order.

    Raises:
      UsageError: the file cannot be read.
    """
    with json_files.damage_reported(_file(workdir, split, "csv")):
        return [text_of_cell(row["name"]) for row in _rows(workdir, split)]


def _file(workdir: epath.Path, split: str, kind: str) -> epath.Path:
    return workdir / FOLDER / f"{split}.{kind}"


def _columns(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the names of the CSV's columns: label, score (a probability) and logit of each."""
    columns = ("label", "score", "logit")
    if len(labels) == 1:
        return [columns]
    return [tuple(printable(f"{column} {name}") for column in columns) for name in labels]


def _csv(predictions: Predictions) -> str:
    """Returns a row for each image; a label that is not known is left blank."""
    scores = predictions.scores
    probability = classification.probabilities(scores.logits)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "patient", *itertools.chain(*_columns(predictions.labels))])
    images = zip(predictions.images, predictions.patients, strict=True)
    for (name, patient), *columns in zip(
        images, scores.labels, probability, scores.logits, strict=True
    ):
        cells = [
            cell
            for label, score, logit in zip(*columns, strict=True)
            for cell in ("" if label < 0 else int(label), f"{score:.9g}", f"{logit:.9g}")
        ]
        writer.writerow([cell(name), cell(patient), *cells])
    return text.getvalue()


def _rows(workdir: epath.Path, split: str) -> list[dict[str, str]]:
    text = _file(workdir, split, "csv").read_text()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _logit(logit: str | None, score: str) -> float:
    """Returns the float32 that was written; an older file has the probability alone."""
    if logit is not None:
        return float(np.float32(logit))
    return float(np.clip(special.logit(float(score)), -LARGEST_LOGIT, LARGEST_LOGIT))
