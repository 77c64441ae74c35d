"""What a trained network predicts for files, row by row."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from trainer.judge.ensemble import Ensemble
from trainer.judge.input_files import DecodedFile
from trainer.metrics.operating_points import CHOSEN

AT_ONCE = 32  # files that go through the network together
SEVERAL = "|"  # between labels in a cell

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Predictor:
    """Turns decoded files into rows.

    Attributes:
      ensemble: the network.
      threshold: probability, not calibrated, from which on each label is decided for; None where
        validation has chosen it, or the likeliest class decides.
    """

    ensemble: Ensemble
    threshold: float | None = None

    @property
    def columns(self) -> dict[str, type]:
        """The columns of a row in order, and whether they hold str or float."""
        probabilities = itertools.chain(*map(_columns, self.ensemble.labels))
        return {
            "path": str,
            "decision": str,
            **dict.fromkeys(probabilities, float),
            "refused": str,
            "reason": str,
        }

    def rows(self, files: Iterable[DecodedFile]) -> Iterator[list[Row]]:
        """Yields the rows of some files at a time, in order."""
        files = iter(files)
        while batch := list(itertools.islice(files, AT_ONCE)):
            yield self._rows(batch)

    def _rows(self, batch: Sequence[DecodedFile]) -> list[Row]:
        rows: list[Row] = [
            {
                **dict.fromkeys(self.columns),
                "path": file.path,
                "refused": file.group or None,
                "reason": file.reason or None,
            }
            for file in batch
        ]
        usable = [number for number, file in enumerate(batch) if not file.reason]
        if usable:
            by_fit = zip(*(batch[number].images for number in usable), strict=True)
            logits = self.ensemble.logits([np.stack(images) for images in by_fit])
            for number, cells in zip(usable, self._cells(logits), strict=True):
                rows[number] |= cells
        return rows

    def _cells(self, logits: np.ndarray) -> Iterator[dict[str, str | float]]:
        """Yields the cells of each image's prediction."""
        model = self.ensemble
        pairs = model.probabilities(logits), model.probabilities(model.calibrated(logits))
        decided = self._decisions(logits)
        for probability, calibrated, chosen in zip(*pairs, decided, strict=True):
            cells: dict[str, str | float] = {"decision": self._decision(chosen)}
            for label, *values in zip(model.labels, probability, calibrated, strict=True):
                cells |= zip(_columns(label), map(float, values), strict=True)
            yield cells

    def _decisions(self, logits: np.ndarray) -> np.ndarray:
        if self.threshold is None:
            return self.ensemble.decisions(logits, CHOSEN)
        return logits >= logit(self.threshold)

    def _decision(self, chosen: np.ndarray) -> str:
        """Returns the class, or the labels that are decided for."""
        if self.ensemble.classes:
            return self.ensemble.classes[int(chosen[0])]
        return SEVERAL.join(itertools.compress(self.ensemble.labels, chosen))


def _columns(label: str) -> tuple[str, str]:
    return f"probability {label}", f"calibrated {label}"
