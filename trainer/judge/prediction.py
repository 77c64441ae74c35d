"""What a trained network predicts for files, row by row."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Finding, Gate
from trainer.judge.heat_maps import HeatMaps
from trainer.judge.input_files import DecodedFile
from trainer.metrics.conformal import ConformalSets
from trainer.metrics.operating_points import CHOSEN

AT_ONCE = 64  # files that go through the network together
FLAGGED = "no such radiograph"  # group of what the gate refuses
SEVERAL = "|"  # between labels in a cell

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Predictor:
    """Turns decoded files into rows.

    Attributes:
      ensemble: the network.
      threshold: probability, not calibrated, from which on each label is decided for; None where
        validation has chosen it, or the likeliest class decides.
      gate: of the first run; None where it has none.
      refuse: whether what the gate flags gets no prediction.
      heat: writes where the evidence of each prediction lies; None for no pictures.
      sets: gives each image the set of classes that it may be of; None where there are none.
    """

    ensemble: Ensemble
    threshold: float | None = None
    gate: Gate | None = None
    refuse: bool = False
    sets: ConformalSets | None = None
    heat: HeatMaps | None = None

    @property
    def columns(self) -> dict[str, type]:
        """The columns of a row in order, and whether they hold str or float."""
        probabilities = itertools.chain(*map(_columns, self.ensemble.labels))
        return {
            "path": str,
            "decision": str,
            **dict.fromkeys(probabilities, float),
            **({"set": str} if self.sets else {}),
            **({"check": str, "value": float, "limit": float} if self.gate else {}),
            "refused": str,
            "reason": str,
        }

    def rows(self, files: Iterable[DecodedFile]) -> Iterator[list[Row]]:
        """Yields the rows of some files at a time, in order."""
        yield from map(self._rows, _gathered(iter(files)))

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
            chosen = [batch[number] for number in usable]
            by_fit = zip(*(file.images for file in chosen), strict=True)
            images = [np.stack(each) for each in by_fit]
            logits, features = self.ensemble.logits_and_features(images)
            sizes = [file.size for file in chosen]
            findings = self.gate and self.gate.findings(images[0], features, sizes)
            found = findings or [None] * len(chosen)
            kept = [n for n, finding in enumerate(found) if not (finding and self.refuse)]
            if self.heat and kept:
                self.heat.write([chosen[n] for n in kept], images[0][kept])
            for number, cells, finding in zip(usable, self._cells(logits), found, strict=True):
                rows[number] |= self._flagged(cells, finding) if finding else cells
        return rows

    def _flagged(self, cells: Row, finding: Finding) -> Row:
        """Returns the cells of an image that does not pass the gate."""
        flag = finding._asdict()
        if not self.refuse:
            return cells | flag
        reason = f"{finding.check}: {finding.value:.3g}, the limit is {finding.limit:.3g}"
        return flag | {"refused": FLAGGED, "reason": reason}

    def _cells(self, logits: np.ndarray) -> Iterator[Row]:
        """Yields the cells of each image's prediction."""
        model = self.ensemble
        pairs = model.probabilities(logits), model.probabilities(model.calibrated(logits))
        decided, sets = self._decisions(logits), self._sets(logits)
        for probability, calibrated, chosen, held in zip(*pairs, decided, sets, strict=True):
            cells: Row = {"decision": self._decision(chosen)}
            for label, *values in zip(model.labels, probability, calibrated, strict=True):
                cells |= zip(_columns(label), map(float, values), strict=True)
            yield cells | held

    def _sets(self, logits: np.ndarray) -> list[Row]:
        if self.sets is None:
            return [{}] * len(logits)
        names = self.sets.names(logits, self.ensemble.labels, self.ensemble.classes)
        return [{"set": SEVERAL.join(held)} for held in names]

    def _decisions(self, logits: np.ndarray) -> np.ndarray:
        if self.threshold is None:
            return self.ensemble.decisions(logits, CHOSEN)
        return logits >= logit(self.threshold)

    def _decision(self, chosen: np.ndarray) -> str:
        """Returns the class, or the labels that are decided for."""
        if self.ensemble.classes:
            return self.ensemble.classes[int(chosen[0])]
        return SEVERAL.join(itertools.compress(self.ensemble.labels, chosen))


def _gathered(files: Iterator[DecodedFile]) -> Iterator[list[DecodedFile]]:
    """Yields batches, and gathers the next while one is used: who decodes waits for nobody."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(lambda: list(itertools.islice(files, AT_ONCE)))
        while batch := following.result():
            following = pool.submit(lambda: list(itertools.islice(files, AT_ONCE)))
            yield batch


def _columns(label: str) -> tuple[str, str]:
    return f"probability {label}", f"calibrated {label}"
