"""Evaluation of finished runs on another data set, read from top to bottom."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from trainer.config import schema
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas, connect
from trainer.judge import overlap as overlap_module
from trainer.judge import stress
from trainer.judge.ensemble import Ensemble
from trainer.judge.judged_data import JudgedData, open_judged
from trainer.judge.overlap import Overlap
from trainer.judge.scorer import UNCHANGED, Scorer, mirrored
from trainer.judge.stress import Decided
from trainer.metrics import evaluation_files, figures, measured
from trainer.metrics.measured import Measured
from trainer.metrics.predictions import Predictions
from trainer.report import evaluation_page
from trainer.system.errors import UsageError
from trainer.training.error_translation import translate_errors
from trainer.training.step import View

OWN = ("train", "validation", "test")  # names of a run's own evaluations
NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True)
class Options:
    """What an evaluation may be asked for.

    Attributes:
      split: the one that is judged; by default all of another set.
      name: of the files; by default that of the data set's folder.
      map_labels: other names for the set's labels.
      prevalence: share of positives for which predictive values are told too.
      flip: whether outputs are the mean over each image and its mirror image.
      allow_overlap: whether images may be judged that were trained on.
      strategy: as in `distribute.strategy` of a config.
      stress: whether the images are judged altered, too.
    """

    split: str | None = None
    name: str | None = None
    map_labels: str = ""
    prevalence: float = figures.PREVALENCE
    flip: bool = False
    allow_overlap: bool = False
    strategy: str = "auto"
    stress: bool = False


def evaluate(
    runs: Sequence[epath.PathLike],
    data: epath.PathLike,
    options: Options,
    *,
    out: epath.PathLike | None = None,
) -> epath.Path | None:
    """Evaluates one or several finished runs on a prepared data set.

    Writes `evaluation/NAME.json`, `NAME.csv` and `NAME.html`; what training wrote stays as it is.

    Args:
      runs: of the same labels; several are judged as one network, and each beside it.
      data: the prepared data set.
      options: see `Options`.
      out: folder in which `evaluation/` is written; by default that of the run.

    Returns:
      The page; None on workers other than the chief.

    Raises:
      UsageError: runs, data and options do not fit together, or images were trained on.
      ExitError: a subclass for each other way in which it can end early.
    """
    name, folder = _name(options.name, data), _folder(runs, out)
    replicas = _connect(options.strategy)
    with replicas.strategy.scope():
        network = Ensemble.load(runs)
    judged = open_judged(data, network, split=options.split, map_labels=options.map_labels)
    overlap = overlap_module.find(judged, network)
    if overlap and not options.allow_overlap:
        raise _refusal(judged, network, overlap)
    scorer = Scorer(network, judged, replicas, signals=StopSignals(), keep=options.stress)
    with translate_errors(folder, judged.as_prepared(), replicas):
        each = scorer.logits((*UNCHANGED, mirrored) if options.flip else UNCHANGED)
        stressed = _stress(network, judged, scorer) if options.stress else None
    if not replicas.is_chief:
        return None
    predictions = scorer.predictions(name, network.combined(each))
    result = measured.measure(predictions, network.points, prevalence=options.prevalence)
    content = {
        **_facts(network, judged, overlap, options=options),
        **result.content(),
        "own_test": _own_test(network, options.prevalence),
        "stress": stressed,
    }
    evaluation_files.write(folder, predictions, content)
    return evaluation_page.write(folder, name)


def _stress(network: Ensemble, data: JudgedData, scorer: Scorer) -> dict[str, Any]:
    """Returns the figures for altered images; see `stress.stress`."""

    def score(view: View) -> Decided:
        logits = network.combined(scorer.logits([view]))
        return Decided(logits, network.decisions(logits))

    return stress.stress(score, data.values, data.patients)


def own_test(network: Ensemble) -> Predictions | None:
    """Returns the predictions for the test split that all runs have in common, None without one."""
    each = [evaluation_files.read_predictions(path, "test") for path in network.workdirs]
    first = each[0]
    if any(
        one.images != first.images or not np.array_equal(one.scores.labels, first.scores.labels)
        for one in each
    ):
        return None
    logits = network.combined([one.scores.logits.astype(np.float32) for one in each])
    scores = first.scores._replace(logits=logits)
    return Predictions("test", first.labels, first.classes, first.images, first.patients, scores)


def _own_test(network: Ensemble, prevalence: float) -> dict[str, Any] | None:
    predictions = own_test(network)
    if predictions is None:
        return None
    result: Measured = measured.measure(predictions, network.points, prevalence=prevalence)
    return result.content()


def _name(name: str | None, data: epath.PathLike) -> str:
    """Returns the name of the evaluation."""
    given = f"--name={name}" if name else f"the folder of --data={data}"
    name = name or epath.Path(data).name or epath.Path(data).absolute().name
    if name in OWN:
        raise UsageError(
            f"{given} would name the evaluation {name}, which is the run's own: give another "
            "--name."
        )
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{given} cannot name a file: give --name of letters, digits, dots and dashes."
        )
    return name


def _folder(runs: Sequence[epath.PathLike], out: epath.PathLike | None) -> epath.Path:
    """Returns the folder in which `evaluation/` is written."""
    if out is None and len(runs) > 1:
        raise UsageError(
            f"the evaluation of {len(runs)} runs belongs to none of them: give --out=FOLDER."
        )
    return epath.Path(runs[0] if out is None else out)


def _connect(strategy: str) -> Replicas:
    distribute = schema.default().distribute
    distribute.strategy = strategy
    return connect(distribute, lambda strategy, replicas: None)


def _refusal(data: JudgedData, network: Ensemble, overlap: Overlap) -> UsageError:
    runs = " and ".join(map(str, network.workdirs))
    return UsageError(
        f"{overlap.patients:,} of the {len(set(data.patients)):,} patients and "
        f"{overlap.images:,} of the {len(data.names):,} images of --data={data.path} "
        f"({', '.join(data.splits)}) are among those that {runs} learnt from: give another data "
        "set or --split, or --allow_overlap, which every page then says."
    )


def _facts(
    network: Ensemble, data: JudgedData, overlap: Overlap, *, options: Options
) -> dict[str, Any]:
    """Returns how the evaluation was made, as in `evaluation/NAME.json`."""
    members = network.members
    alone = {key: members[0].evaluation[key] for key in ("epoch", "step")}
    return {
        "split": _name(options.name, data.path),
        "data": str(data.path),
        "source": data.summary["source"],
        "synthetic": data.summary["synthetic"],
        "dataset_fingerprint": data.fingerprint,
        "splits": data.splits,
        "runs": [str(path) for path in network.workdirs],
        **(alone if len(members) == 1 else {}),
        "operating_point": network.reason,
        "views": "each image and its mirror image" if options.flip else "each image",
        "missing_labels": data.missing,
        "left_out": data.left_out,
        "overlap": overlap.content(),
    }
