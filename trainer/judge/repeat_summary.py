"""The figures of one config trained several times: each, mean, deviation, and ensemble."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from etils import epath

from trainer.judge import ensemble
from trainer.metrics import evaluation_files
from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.metrics.predictions import Predictions
from trainer.system import terminal
from trainer.training.run_files import SPLITS, RunFiles

MEAN, DEVIATION, ENSEMBLE = "mean", "sd", "ensemble"
RATES = ("accuracy", "sensitivity", "specificity")


def summarize(
    workdirs: Sequence[epath.PathLike], *, same_images: bool = True
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Returns the figures of finished runs of one config.

    The ensemble is the mean of the runs' calibrated log-odds, and its threshold that of theirs.

    Args:
      workdirs: of the runs, which have the same labels.
      same_images: whether they are of the same data set too; those of folds are not.

    Returns:
      {split: {row: {figure: value}}}; a row for each run by its name, then "mean", "sd" (of a
      sample, with n - 1; None of one run) and "ensemble" (of two runs or more of the same images).

    Raises:
      UsageError: a run is not finished, or one of its files cannot be read.
    """
    runs = [RunFiles(workdir) for workdir in workdirs]
    rows = {
        split: {run.name: figures(evaluation_files.read(run.workdir, split)) for run in runs}
        for split in SPLITS
    }
    for split, by_run in rows.items():
        columns = {
            name: [figure[name] for figure in by_run.values()]
            for name in next(iter(by_run.values()))
        }
        rows[split] = by_run | {
            MEAN: {name: _of_defined(_mean, values) for name, values in columns.items()},
            DEVIATION: {name: _of_defined(_deviation, values) for name, values in columns.items()},
        }
    if same_images and len(runs) > 1:
        for split, evaluation in _evaluate_ensemble(runs).items():
            rows[split][ENSEMBLE] = figures(evaluation)
    return rows


def figures(evaluation: Mapping) -> dict[str, float | None]:
    """Returns the figures of an evaluation that seeds are compared by, means over its labels."""
    found = {"AUC": evaluation["auc"]["value"]}
    if evaluation.get("exclusive"):
        return found | {
            "accuracy": evaluation["accuracy"]["value"],
            "balanced accuracy": evaluation["balanced_accuracy"]["value"],
        }
    found["average precision"] = evaluation["average_precision"]["value"]
    if len(evaluation["labels"]) > 1:
        return found
    (label,) = evaluation["labels"].values()
    points = {point["name"]: point for point in label["operating_points"]}
    found["accuracy at 0.5"] = points[HALF]["accuracy"]["value"]
    return found | {name: points[CHOSEN][name]["value"] for name in RATES}


def table(rows: Mapping[str, Mapping[str, float | None]], split: str) -> str:
    """Returns the rows of a split as a table that fits a terminal."""
    names = list(next(iter(rows.values())))
    above, below = zip(*(_two_lines(name) for name in names), strict=True)
    lines = [["", *above], [split, *below]]
    lines += [[row, *(_text(cells[name]) for name in names)] for row, cells in rows.items()]
    return terminal.aligned(lines, left=1)


def _evaluate_ensemble(runs: Sequence[RunFiles]) -> dict[str, dict]:
    """Returns the evaluation of the runs as one network, for each split."""
    read = {
        split: [evaluation_files.read_predictions(run.workdir, split) for run in runs]
        for split in SPLITS
    }
    temperatures = [evaluation_files.temperatures(run.test) for run in runs]
    combined: dict[str, Predictions] = {}
    for split, (first, *_) in read.items():
        logits = [one.scores.logits.astype(np.float32) for one in read[split]]
        mean = ensemble.combine(logits, temperatures, first.scores.outputs)
        combined[split] = replace(first, scores=first.scores._replace(logits=mean))
    thresholds = [evaluation_files.thresholds(run.test, CHOSEN) for run in runs]
    points = ensemble.combined_points(thresholds, temperatures, combined["validation"].scores)
    return {
        split: predictions.evaluate(points, epoch=0, step=0, seed=0)
        for split, predictions in combined.items()
    }


def _of_defined(
    measure: Callable[[np.ndarray], float | None], values: Sequence[float | None]
) -> float | None:
    """Returns the mean or deviation of figures; None where a run lacks one."""
    if any(value is None for value in values):
        return None
    return measure(np.array(values, float))


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _deviation(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1)) if values.size > 1 else None


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _two_lines(name: str) -> tuple[str, str]:
    """Returns a heading as two lines, broken at its first space."""
    first, _, rest = name.partition(" ")
    return (first, rest) if rest else ("", name)
