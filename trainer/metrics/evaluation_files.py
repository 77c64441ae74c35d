"""Files of an evaluation: `evaluation/SPLIT.json`, and `SPLIT.csv` with a row for each image."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath
from scipy import special

from trainer.metrics import classification
from trainer.metrics.label_result import OTHER_CLASSES, UNNAMED_CLASSES, LabelResult
from trainer.metrics.outputs import EXCLUSIVE
from trainer.metrics.predictions import Predictions
from trainer.system import atomic, json_files
from trainer.system.printable import printable

FOLDER = "evaluation"  # in the work directory
FORMULA = ("=", "+", "-", "@", "'")  # what a cell begins with that a spreadsheet would run
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


def read_label_results(workdir: epath.Path, split: str) -> list[LabelResult]:
    """Returns each label of a split with the images for which it is known.

    A label's classes are those of the data set, or "absent" and "present" with several labels;
    those of an exclusive class are all others and itself.

    Raises:
      UsageError: one of the files cannot be read.
    """
    evaluation = read(workdir, split)
    exclusive = evaluation.get("exclusive", False)
    with json_files.damage_reported(_file(workdir, split, "json")):
        results = [
            LabelResult(
                name=name,
                classes=evaluation["classes"]
                or ((OTHER_CLASSES, name) if exclusive else UNNAMED_CLASSES),
                labels=np.zeros(0, int),
                logits=np.zeros(0),
                patients=[],
                operating_points=label["operating_points"],
                temperature=label["calibration"]["temperature"],
                split=evaluation["split"],
                auc=label["auc"],
                average_precision=label["average_precision"],
            )
            for name, label in evaluation["labels"].items()
        ]
    with json_files.damage_reported(_file(workdir, split, "csv")):
        rows = _rows(workdir, split)
        if len(rows) != evaluation["images"]:
            raise ValueError(
                f"it has {len(rows):,} rows, but {split}.json {evaluation['images']:,} images"
            )
        columns = _columns([result.name for result in results])
        pairs = zip(results, columns, strict=True)
        results = [_with_images(result, rows, names) for result, names in pairs]
        return _with_common_temperature(results) if exclusive else results


def read_image_names(workdir: epath.Path, split: str) -> list[str]:
    """Returns the names of the images of a split, in order.

    Raises:
      UsageError: the file cannot be read.
    """
    with json_files.damage_reported(_file(workdir, split, "csv")):
        return [_text(row["name"]) for row in _rows(workdir, split)]


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
        writer.writerow([_cell(name), _cell(patient), *cells])
    return text.getvalue()


def _cell(text: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula: with an apostrophe before it.

    Source: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{printable(text)}" if text.startswith(FORMULA) else printable(text)


def _text(cell: str) -> str:
    """Returns the text of which `_cell` has made a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _rows(workdir: epath.Path, split: str) -> list[dict[str, str]]:
    text = _file(workdir, split, "csv").read_text()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _with_images(
    result: LabelResult, rows: Sequence[Mapping[str, str]], columns: tuple[str, ...]
) -> LabelResult:
    """Returns the result with the images for which the label is known."""
    label, score, logit = columns
    known = [row for row in rows if row[label] != ""]
    return result._replace(
        labels=np.array([int(row[label]) for row in known], int),
        logits=np.array([_logit(row.get(logit), row[score]) for row in known], float),
        patients=[_text(row["patient"]) for row in known],
    )


def _with_common_temperature(results: Sequence[LabelResult]) -> list[LabelResult]:
    """Returns the classes of the same images with their logits at the temperature of all."""
    logits = np.stack([result.logits for result in results], axis=1)
    calibrated = EXCLUSIVE.calibrated(logits, [result.temperature for result in results])
    pairs = zip(results, calibrated.T, strict=True)
    return [result._replace(calibrated_logits=column) for result, column in pairs]


def _logit(logit: str | None, score: str) -> float:
    """Returns the float32 that was written; an older file has the probability alone."""
    if logit is not None:
        return float(np.float32(logit))
    return float(np.clip(special.logit(float(score)), -LARGEST_LOGIT, LARGEST_LOGIT))
