"""How well file features predict a label, and whether that still holds in the test split."""

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from trainer.data.audit.file_features import GROUPS, FileFeatures
from trainer.metrics import bootstrap, classification

TOGETHER = "all together"
COLUMN = "column "  # before the name of a kept one
EVERYTHING = GROUPS | {TOGETHER: tuple(field for fields in GROUPS.values() for field in fields)}
SEED = 0
FOLDS = 5
LEAST_IMAGES = 10  # of either kind
LEAST_PATIENTS = FOLDS  # of either kind: one a fold
MOST_IMAGES = 10_000  # drawn by patient; the interval of an AUC is then about 0.02 wide
MOST_WORDS = 30  # of a text feature such as the quantisation table; rarer ones count as one


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve with its 95 % interval, over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Shortcut:
    """How well one group of file features predicts one label.

    Attributes:
      label: the label.
      features: the group's name in `EVERYTHING`, or that of a kept column after `COLUMN`.
      train: cross-validated in train and validation; None where there are too few images.
      test: the same in the test split alone.
      transfer: learnt in train and validation, evaluated in test.
      holds: whether `transfer` confirms it: "holds in test", "reversed in test", "does not hold
        in test", or "" where it cannot be evaluated or there was nothing in train.
      typical: for the images with and without the label in train, the median or the commonest
        value of each feature.
    """

    label: str
    features: str
    train: Auc | None
    test: Auc | None
    transfer: Auc | None
    holds: str
    typical: dict[str, dict[str, float | str]]


def measure(
    features: Sequence[FileFeatures],
    labels: np.ndarray,
    *,
    patients: Sequence[str],
    in_test: np.ndarray,
    names: Sequence[str],
    columns: Mapping[str, Sequence[str]] | None = None,
) -> list[Shortcut]:
    """Returns a shortcut for each label with enough images, and each group of features.

    The labels that are predicted best come first.

    Args:
      features: of n images.
      labels: [n, K] int: 1, 0, or -1 where it is not known.
      patients: [n], none of them "".
      in_test: [n] bool.
      names: of the K labels.
      columns: kept of the images, [n] each and "" where it is not known; a group of its own each.
    """
    kept = _sample(patients, SEED)
    patient_of, labels, in_test = np.asarray(patients)[kept], labels[kept], in_test[kept]
    values = {field: [getattr(features[i], field) for i in kept] for field in EVERYTHING[TOGETHER]}
    of_column = {COLUMN + name: cells for name, cells in (columns or {}).items()}
    values |= {group: _numbers([cells[i] for i in kept]) for group, cells in of_column.items()}
    groups = {**{group: (group,) for group in of_column}, **EVERYTHING}
    tables = {group: _table(values, fields) for group, fields in groups.items()}
    by_label = []
    for number, label in enumerate(names):
        known = labels[:, number] >= 0
        train, test = (
            _Part(labels[rows, number] == 1, patient_of[rows], rows)
            for rows in (np.flatnonzero(known & ~in_test), np.flatnonzero(known & in_test))
        )
        if train.is_enough or test.is_enough:
            typical = _typical(values, train if train.is_enough else test)
            parts: dict[str, Any] = {"train": train, "test": test}
            by_label.append(
                [
                    _shortcut(
                        label,
                        group,
                        table=tables[group],
                        typical={
                            kind: {field: middle[field] for field in fields}
                            for kind, middle in typical.items()
                        },
                        **parts,
                    )
                    for group, fields in groups.items()
                ]
            )
    by_label.sort(key=lambda shortcuts: -max(_largest(s) for s in shortcuts))
    return [shortcut for shortcuts in by_label for shortcut in shortcuts]


@dataclass(frozen=True)
class _Part:
    """The images of a split whose label is known: [m] bool, [m] patients, [m] row numbers."""

    labels: np.ndarray
    patients: np.ndarray
    rows: np.ndarray

    @functools.cached_property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Positions of the images learnt from and of those predicted, no patient in both."""
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
        return list(folds.split(self.rows, self.labels, self.patients))

    @functools.cached_property
    def resamples(self) -> bootstrap.Resamples:
        return bootstrap.Resamples(self.patients.tolist(), SEED)

    @property
    def is_enough(self) -> bool:
        return all(
            chosen.sum() >= LEAST_IMAGES and len(set(self.patients[chosen])) >= LEAST_PATIENTS
            for chosen in (self.labels, ~self.labels)
        )


def _sample(patients: Sequence[str], seed: int) -> np.ndarray:
    """Returns the rows of all images of as many patients as `MOST_IMAGES` allows, in order."""
    if len(patients) <= MOST_IMAGES:
        return np.arange(len(patients))
    _, numbers = np.unique(np.asarray(patients), return_inverse=True)
    place = np.random.default_rng(seed).permutation(numbers.max() + 1)[numbers]
    return np.sort(np.argsort(place, kind="stable")[:MOST_IMAGES])


def _numbers(cells: Sequence[str]) -> list[Any]:
    """Returns cells as numbers, NaN where they are blank, or as they are where one is no number."""
    try:
        return [float(cell) if cell else math.nan for cell in cells] if any(cells) else [*cells]
    except ValueError:
        return [*cells]


def _table(values_of: Mapping[str, Sequence[Any]], fields: Sequence[str]) -> np.ndarray:
    """Returns [n, F] float32; a text becomes its place among the commonest texts."""
    columns = []
    for field in fields:
        values = values_of[field]
        if isinstance(values[0], str):
            place = {word: i for i, (word, _) in enumerate(Counter(values).most_common(MOST_WORDS))}
            values = [place.get(value, MOST_WORDS) for value in values]
        columns.append(np.array(values, np.float32))
    return np.stack(columns, axis=1)


def _shortcut(
    label: str, group: str, *, table: np.ndarray, train: _Part, test: _Part, typical: dict
) -> Shortcut:
    """Returns the shortcut of a group whose features are a [n, F] table."""
    in_train = _cross_validated(table, train) if train.is_enough else None
    in_test = _cross_validated(table, test) if test.is_enough else None
    transfer = _transferred(table, train, test) if train.is_enough and test.is_enough else None
    return Shortcut(
        label,
        group,
        in_train,
        in_test,
        transfer,
        holds=_holds(in_train, transfer),
        typical=typical,
    )


def _cross_validated(table: np.ndarray, part: _Part) -> Auc:
    """Returns the AUC of scores that each patient got from a classifier of the others.

    Scores are ranked within their fold: the classifiers differ in how common they take the label
    to be, which would look like a relation.
    """
    table = table[part.rows]
    scores = np.zeros(len(table))
    for learnt, predicted in part.folds:
        classifier = _classifier(table[learnt], part.labels[learnt])
        scores[predicted] = _ranked(classifier, table[predicted])
    return _auc(part, scores)


def _transferred(table: np.ndarray, train: _Part, test: _Part) -> Auc:
    classifier = _classifier(table[train.rows], train.labels)
    return _auc(test, _ranked(classifier, table[test.rows]))


def _classifier(table: np.ndarray, labels: np.ndarray) -> HistGradientBoostingClassifier | None:
    """Returns a classifier of few small trees; None where nothing varies.

    On one thread: for tables as small as these, several wait for one another most of the time.
    """
    if len(set(labels)) < 2 or not np.ptp(table, axis=0).any():
        return None
    with threadpool_limits(1):
        return HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=min(10, max(2, len(labels) // 16)),
            early_stopping=False,
            random_state=SEED,
        ).fit(table, labels)


def _ranked(classifier: HistGradientBoostingClassifier | None, table: np.ndarray) -> np.ndarray:
    if classifier is None:
        return np.full(len(table), 0.5)
    with threadpool_limits(1):
        return rankdata(classifier.decision_function(table)) / len(table)


def _auc(part: _Part, scores: np.ndarray) -> Auc:
    images = np.arange(len(scores))
    aucs = classification.resampled_auc(part.labels, scores, part.resamples, images)
    low, high = bootstrap.percentiles(aucs[1:])
    return Auc(float(aucs[0]), float(low), float(high))


def _holds(train: Auc | None, transfer: Auc | None) -> str:
    if train is None or transfer is None or train.low <= 0.5:
        return ""
    if transfer.low > 0.5:
        return "holds in test"
    return "reversed in test" if transfer.high < 0.5 else "does not hold in test"


def _typical(values: Mapping[str, Sequence[Any]], part: _Part) -> dict[str, dict[str, float | str]]:
    rows = {"positive": part.rows[part.labels], "negative": part.rows[~part.labels]}
    return {
        kind: {field: _middle([cells[n] for n in numbers]) for field, cells in values.items()}
        for kind, numbers in rows.items()
    }


def _middle(values: Sequence[Any]) -> float | str:
    """Returns the commonest of texts, the share of truths, or the median of known numbers."""
    if isinstance(values[0], str):
        return Counter(values).most_common(1)[0][0]
    values = [value for value in values if value == value]  # without NaN
    if not values:
        return ""
    return float(np.mean(values) if isinstance(values[0], bool) else np.median(values))


def _largest(shortcut: Shortcut) -> float:
    return max(auc.value for auc in (shortcut.train, shortcut.test) if auc)
