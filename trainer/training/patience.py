"""Which evaluation is better, and for how many epochs there has been no better one.

All is a function of the history, which every worker has and every checkpoint holds: a resumed run
comes to the same answers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]


def rank(measured: Row, best_by: str = "auc") -> tuple[float, float]:
    """Returns what is greater the better: of validation's metrics, that one, and a second.

    The loss decides between equal areas, the AUC between equal losses. An area that is not defined
    is below all others.

    Args:
      measured: the metrics.
      best_by: "auc", "loss" or "average_precision".
    """
    auc = -1.0 if measured["auc"] is None else measured["auc"]
    if best_by == "loss":
        return -measured["loss"], auc
    area = auc if best_by == "auc" else measured["average_precision"]
    return -1.0 if area is None else area, -measured["loss"]


def is_exhausted(history: Iterable[Row], best_by: str, patience: int) -> bool:
    """Returns whether the last `patience` epochs brought no better one; never for 0.

    Args:
      history: a row for each epoch.
      best_by: see `rank`.
      patience: epochs.
    """
    if not patience:
        return False
    waited = 0
    for better in _are_better(history, best_by):
        waited = 0 if better else waited + 1
    return waited >= patience


def reductions(history: Iterable[Row], best_by: str, patience: int) -> int:
    """Returns how often `patience` epochs in a row brought no better one; see `is_exhausted`."""
    found = waited = 0
    for better in _are_better(history, best_by):
        waited = 0 if better else waited + 1
        if waited == patience:
            found, waited = found + 1, 0
    return found


def _are_better(history: Iterable[Row], best_by: str) -> Iterator[bool]:
    """Yields for each epoch whether it is better on validation than all before."""
    best = None
    for row in history:
        ranked = rank(row["validation"], best_by)
        better = best is None or ranked > best
        best = ranked if better else best
        yield better
