"""What a trained network predicts for files, row by row."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Finding, Gate
from trainer.judge.input_files import DecodedFile
from trainer.judge.predicted import Predicted, ResultFiles
from trainer.judge.prediction_file import Row
from trainer.metrics.conformal import ConformalSets
from trainer.metrics.operating_points import CHOSEN

AT_ONCE = 64  # files that go through the network together
FLAGGED = "no such radiograph"  # group of what the gate refuses
NO_RESULTS = "no results"  # group of what has no result files
SEVERAL = "|"  # between labels in a cell


@dataclass(frozen=True)
class Predictor:
    """Turns decoded files into rows.

    Attributes:
      ensemble: the network.
      threshold: probability, not calibrated, from which on each label is decided for; None where
        validation has chosen it, or the likeliest class decides.
      gate: of the first run; None where it has none.
      refuse: whether what the gate flags gets no prediction.
      sets: gives each image the set of classes that it may be of; None where there are none.
      result_files: what is written of each prediction beside its row.
    """

    ensemble: Ensemble
    threshold: float | None = None
    gate: Gate | None = None
    refuse: bool = False
    sets: ConformalSets | None = None
    result_files: Sequence[ResultFiles] = ()

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
            predicted = list(self._predicted(chosen, images[0], logits, findings=found))
            failed = self._write(predicted)
            cells = map(self._cells, predicted, self._sets(logits))
            for place, (each, finding) in enumerate(zip(cells, found, strict=True)):
                if place in failed:
                    each = {"refused": NO_RESULTS, "reason": failed[place]}
                rows[usable[place]] |= self._flagged(each, finding) if finding else each
        return rows

    def _write(self, predicted: Sequence[Predicted]) -> dict[int, str]:
        """Writes the result files of some predictions; returns why there are none, by place."""
        kept = [n for n, each in enumerate(predicted) if not (each.finding and self.refuse)]
        failed: dict[int, str] = {}
        for files in self.result_files if kept else ():
            for place, reason in files.write([predicted[n] for n in kept]).items():
                failed[kept[place]] = reason
        return failed

    def _flagged(self, cells: Row, finding: Finding) -> Row:
        """Returns the cells of an image that does not pass the gate."""
        flag = finding._asdict()
        if not self.refuse:
            return cells | flag
        reason = f"{finding.check}: {finding.value:.3g}, the limit is {finding.limit:.3g}"
        return flag | {"refused": FLAGGED, "reason": reason}

    def _predicted(
        self,
        files: Sequence[DecodedFile],
        images: np.ndarray,
        logits: np.ndarray,
        *,
        findings: Sequence[Finding | None],
    ) -> Iterator[Predicted]:
        model = self.ensemble
        raw, calibrated = map(model.probabilities, (logits, model.calibrated(logits)))
        return map(Predicted, files, images, raw, calibrated, self._decisions(logits), findings)

    def _cells(self, predicted: Predicted, held: Row) -> Row:
        """Returns the cells of an image's prediction."""
        cells: Row = {"decision": self._decision(predicted.decided)}
        pairs = zip(predicted.probabilities, predicted.calibrated, strict=True)
        for label, values in zip(self.ensemble.labels, pairs, strict=True):
            cells |= zip(_columns(label), map(float, values), strict=True)
        return cells | held

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
