"""Evaluation of finished runs on another data set, read from top to bottom."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from trainer.config import schema
from trainer.distribute.replicas import Replicas, connect
from trainer.judge import overlap, stress
from trainer.judge.ensemble import Ensemble
from trainer.judge.judged_data import JudgedData, open_judged
from trainer.judge.prior_correction import PriorCorrection
from trainer.judge.scorer import UNCHANGED, Scorer, mirrored
from trainer.judge.stress import Decided
from trainer.metrics import conformal, evaluation_files, figures, measured, paired, subgroups
from trainer.metrics.conformal import ConformalSets
from trainer.metrics.measured import Measured
from trainer.metrics.operating_points import OperatingPoints
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores
from trainer.report import evaluation_page, model_card
from trainer.system.errors import UsageError
from trainer.training.error_translation import translate_errors
from trainer.training.evaluation_loop import View

OWN = ("train", "validation", "test")  # names of a run's own evaluations
NAME = re.compile(r"[\w][\w.-]*")
COVERAGE = 0.9  # of the sets whose reached coverage is reported


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
      by: columns whose groups are compared, as "sex" or with the edges of bins "age:18:65".
      strategy: as in `distribute.strategy` of a config.
      stress: whether the images are judged altered, too.
    """

    split: str | None = None
    name: str | None = None
    map_labels: str = ""
    prevalence: float = figures.PREVALENCE
    flip: bool = False
    allow_overlap: bool = False
    by: Sequence[str] = ()
    strategy: str = "auto"
    stress: bool = False


def evaluate(
    runs: Sequence[epath.PathLike],
    data: epath.PathLike,
    options: Options,
    *,
    against: Sequence[epath.PathLike] = (),
    out: epath.PathLike | None = None,
) -> epath.Path | None:
    """Evaluates one or several finished runs on a prepared data set.

    Writes `evaluation/NAME.json`, `NAME.csv` and `NAME.html`; what training wrote stays as it is.

    Args:
      runs: of the same labels; several are judged as one network, and each beside it.
      data: the prepared data set.
      options: see `Options`.
      against: runs that are compared with these on the same images, as one network.
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
        other = Ensemble.load(against) if against else None
    if other:
        network.check_comparable(other)
    judged = open_judged(data, network, split=options.split, map_labels=options.map_labels)
    columns = grouped(judged, options.by)
    found = [overlap.find(judged, each) for each in (network, other) if each]
    if any(found) and not options.allow_overlap:
        at = next(number for number, one in enumerate(found) if one)
        raise _refusal(judged, (network, other)[at] or network, found[at])

    def measure(
        one: Ensemble, logits: Sequence[np.ndarray], points: OperatingPoints | None = None
    ) -> Measured:
        predictions = _predictions(name, one, judged, one.combined(logits))
        return measured.measure(predictions, points or one.points, prevalence=options.prevalence)

    views = (*UNCHANGED, mirrored) if options.flip else UNCHANGED
    with translate_errors(folder, judged.as_prepared(), replicas):
        scorer = Scorer(network, judged, replicas, keep=options.stress)
        logits = scorer.logits(views)
        stressed = _stress(network, judged, scorer) if options.stress else None
        others = Scorer(other, judged, replicas).logits(views) if other else []
    if not replicas.is_chief:
        return None
    predicted = _predictions(name, network, judged, network.combined(logits))
    prior = PriorCorrection.find(network, predicted.scores)
    result = measure(network, logits, prior.points if prior else None)
    content = _facts(network, judged, options) | {"overlap": found[0].content()}
    content |= result.content()
    content["prior"] = prior.move(content, result) if prior else None
    content["own_test"] = _own_test(network, options.prevalence)
    content["groups"] = {
        column: subgroups.measure(result, groups) for column, groups in columns.items()
    }
    content["sets"] = _sets(network, result.predictions.scores)
    content["stress"] = stressed
    if len(runs) > 1:
        pairs = zip(network.alone(), logits, strict=True)
        content["members"] = measured.spread([measure(one, [given]) for one, given in pairs])
    if other:
        content["against"] = {
            "runs": list(map(str, other.workdirs)),
            "operating_point": other.reason,
            "overlap": found[1].content(),
            **paired.compare(result, measure(other, others)),
        }
    evaluation_files.write(folder, result.predictions, content)
    if (folder / model_card.CARD).exists():
        model_card.write(folder)
    return evaluation_page.write(folder, name)


def _stress(network: Ensemble, data: JudgedData, scorer: Scorer) -> dict[str, Any]:
    """Returns the figures for altered images; see `stress.stress`."""

    def score(view: View) -> Decided:
        logits = network.combined(scorer.logits([view]))
        return Decided(logits, network.decisions(logits))

    return stress.stress(score, data.values, data.patients, labels=network.labels)


def _sets(network: Ensemble, scores: Scores) -> dict[str, Any] | None:
    """Returns how often conformal sets hold the true class, where validation can calibrate them."""
    if (validation := network.validation_scores()) is None:
        return None
    sets = ConformalSets.calibrate(validation, COVERAGE)
    shares, least = sets.reached(scores), sets.least
    if network.classes:
        names, sides = network.classes, [(0, 0), (1, 0)]
    else:
        names, sides = [*network.labels], [(1, k) for k in range(len(network.labels))]
        if not network.outputs.exclusive:
            names += [f"no {name}" for name in network.labels]
            sides += [(0, k) for k in range(len(network.labels))]
    pairs = list(zip(names, sides, strict=True))
    return {
        "coverage": COVERAGE,
        "reached": {n: None if np.isnan(shares[at]) else float(shares[at]) for n, at in pairs},
        "too_few": [name for name, at in pairs if np.isneginf(least[at])],
        "needed": conformal.needed(COVERAGE),
    }


def _predictions(name: str, network: Ensemble, data: JudgedData, logits: np.ndarray) -> Predictions:
    """Returns log-odds of the images, [n, K], with what is known of the images."""
    ones = np.ones(len(data.names), np.float32)
    scores = Scores(logits, data.values, ones, network.outputs)
    return Predictions(name, network.labels, data.classes, data.names, data.patients, scores)


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


def grouped(data: JudgedData, by: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the groups of images that each column makes, by its name.

    Raises:
      UsageError: there is no such column, or its edges are no rising numbers.
    """
    found = {}
    for given in by:
        name, *texts = given.split(":")
        if name not in data.columns:
            kept = ", ".join(data.columns) or "none"
            raise UsageError(
                f"--by={name} is no column of --data={data.path}, which keeps {kept}: prepare it "
                f"again with --keep_columns={name}."
            )
        try:
            edges = [float(text) for text in texts]
        except ValueError:
            edges = [np.inf, 0.0]
        if edges != sorted(set(edges)):
            raise UsageError(
                f"--by={given} has edges that are no rising numbers: give them as in "
                "--by=age:18:40:65."
            )
        found[name] = subgroups.groups(name, data.columns[name], edges)
    return found


def _refusal(data: JudgedData, network: Ensemble, found: overlap.Overlap) -> UsageError:
    runs = " and ".join(map(str, network.workdirs))
    return UsageError(
        f"{found.patients:,} of the {len(set(data.patients)):,} patients and "
        f"{found.images:,} of the {len(data.names):,} images of --data={data.path} "
        f"({', '.join(data.splits)}) are among those that {runs} learnt from: give another data "
        "set or --split, or --allow_overlap, which every page then says."
    )


def _facts(network: Ensemble, data: JudgedData, options: Options) -> dict[str, Any]:
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
        "views": _views(network) if options.flip else "each image",
        "missing_labels": data.missing,
        "left_out": data.left_out,
    }


def _views(network: Ensemble) -> str:
    counts = sorted({member.config.model.views for member in network.members} - {1})
    several = f", by {' or '.join(map(str, counts))} views of either" if counts else ""
    return f"each image and its mirror image{several}"
