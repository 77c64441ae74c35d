"""Whether an export says what `radiograph predict` says, from the bytes of files on."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.export.formats import LOSSY
from trainer.judge.ensemble import Ensemble
from trainer.system import terminal
from trainer.system.errors import ExitError
from trainer.training.trained_model import AT_ONCE

MOST_DIFFERENCE = 1e-3  # of a probability, where a decision changes
MOST_AUC_LOSS = 0.005
TIMED = 96  # images at each batch size
BATCHES = (1, AT_ONCE)


class NotAlike(ExitError):
    """An export says something else than the run that it was made of."""


@dataclass(frozen=True)
class Encoded:
    """What an export makes of images in some encoding.

    Attributes:
      largest: difference of a probability from `radiograph predict`; None where it is refused.
      refused: the error in words; "" where there is none.
    """

    largest: float | None
    refused: str = ""


@dataclass(frozen=True)
class Parity:
    """How an export differs from prediction on the same files.

    Attributes:
      images: that were compared.
      originals: of these, source files; the others are as preparation has stored them.
      refused: files of validation that it refuses, which are not among these.
      largest: difference of a probability.
      mean: difference of a probability.
      decisions_changed: of all labels of all images.
      auc_difference: mean over the labels that have both classes; None where none has.
      megabytes: of its files.
      milliseconds: an image on this machine, by the size of the batch.
      encodings: what it makes of the same images encoded otherwise, if it takes files.
    """

    images: int
    originals: int
    refused: int
    largest: float
    mean: float
    decisions_changed: int
    auc_difference: float | None
    megabytes: float
    milliseconds: dict[str, float]
    encodings: dict[str, Encoded] = field(default_factory=dict)

    def check(self, name: str, precision: str) -> None:
        """Raises NotAlike where the export is not to be used in place of the run.

        Args:
          name: of the format; those that lose by their nature are never refused.
          precision: of the run.
        """
        if name in LOSSY:
            return
        changed = self.decisions_changed and self.largest > MOST_DIFFERENCE
        if changed or (self.auc_difference or 0.0) < -MOST_AUC_LOSS:
            report = "please report this with the run's config.json"
            if precision != "float32":
                report = f"the run computes in {precision}, and a saved_model does so too"
            raise NotAlike(
                f"the {name} does not say what radiograph predict says: {self.decisions_changed:,} "
                f"decisions of {self.images:,} images change, and probabilities differ by up to "
                f"{self.largest:.2g}; nothing was exported: {report}."
            )

    def as_dict(self) -> dict:
        """Returns all as `parity.json` has it."""
        return asdict(self)


@dataclass(frozen=True)
class Files:
    """Files of images, and what the runs predict for them.

    Attributes:
      contents: [n] bytes of JPEG or PNG files.
      labels: [n, K]: 1, 0, or -1 where it is not known.
      fitted: for each of the ensemble's squares, [n, S, S, 1] uint8.
      probability: [n, K] float64.
      decisions: [n, K] bool.
      originals: [n] bool, whether it is the file that the image was prepared from.
    """

    contents: list[bytes]
    labels: np.ndarray
    fitted: tuple[np.ndarray, ...]
    probability: np.ndarray
    decisions: np.ndarray
    originals: np.ndarray

    def only(self, kept: np.ndarray) -> "Files":
        """Returns some of the files, by a mask [n] bool."""
        return Files(
            list(itertools.compress(self.contents, kept)),
            self.labels[kept],
            tuple(images[kept] for images in self.fitted),
            self.probability[kept],
            self.decisions[kept],
            self.originals[kept],
        )

    @classmethod
    def predict(
        cls,
        ensemble: Ensemble,
        contents: Sequence[bytes],
        labels: np.ndarray,
        *,
        originals: np.ndarray | None = None,
    ) -> "Files":
        """Predicts files as `radiograph predict` does."""
        squares = [
            ensemble.fitted_images(ensemble.members[0].stored_image(data)) for data in contents
        ]
        fitted = tuple(np.stack(images) for images in zip(*squares, strict=True))
        logits = ensemble.logits(fitted)
        probability = ensemble.probabilities(logits)
        decisions = ensemble.decisions(logits)
        if originals is None:
            originals = np.zeros(len(contents), bool)
        return cls(list(contents), labels, fitted, probability, decisions, originals)


def compare(
    files: Files,
    answer: Callable[[slice], tuple[np.ndarray, np.ndarray]],
    *,
    megabytes: float,
    refused: int = 0,
) -> Parity:
    """Compares an export with the prediction of the same files.

    Args:
      files: with their predictions.
      answer: returns probability and decision, [n, K] each, that the export gives for a part.
      megabytes: of the export's files.
      refused: files that the export refuses, which are not among these.

    Raises:
      NotAlike: a probability of the export is none.
    """
    count = len(files.contents)
    if not count:
        raise NotAlike(
            f"none of the {refused:,} files of validation is one that the export reads: nothing "
            "was exported."
        )
    answers = [answer(part) for part in parts(count)]
    probability, decision = (np.concatenate(each) for each in zip(*answers, strict=True))
    if not np.isfinite(probability).all():
        raise NotAlike("what was exported gives no numbers: nothing was exported.")
    difference = np.abs(probability - files.probability)
    return Parity(
        images=count,
        originals=int(files.originals.sum()),
        refused=refused,
        largest=float(difference.max()),
        mean=float(difference.mean()),
        decisions_changed=int(np.sum(decision.astype(bool) != files.decisions)),
        auc_difference=_auc_difference(files, probability),
        megabytes=megabytes,
        milliseconds={str(batch): _milliseconds(answer, count, batch) for batch in BATCHES},
    )


def parts(count: int) -> list[slice]:
    """Returns the batches that so many files are answered in."""
    return [slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE)]


def table(rows: Mapping[str, Parity]) -> str:
    """Returns the comparison of each format as a table for a terminal."""
    return terminal.aligned([*_cells(rows)])


def markdown(rows: Mapping[str, Parity]) -> str:
    """Returns the same table in Markdown."""
    head, *others = ([name or "format", *cells] for name, *cells in _cells(rows))
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(rows: Mapping[str, Parity]) -> Iterator[tuple[str, ...]]:
    yield (
        "",
        "images",
        "refused",
        "largest",
        "mean",
        "changed",
        "AUC",
        "MB",
        "ms at 1",
        f"at {AT_ONCE}",
    )
    for name, row in rows.items():
        auc = "-" if row.auc_difference is None else f"{row.auc_difference:+.5f}"
        figures = (f"{row.images:,}", f"{row.refused:,}", f"{row.largest:.1e}", f"{row.mean:.1e}")
        times = [f"{row.milliseconds[str(batch)]:.1f}" for batch in BATCHES]
        changed = str(row.decisions_changed)
        yield name, *figures, changed, auc, f"{row.megabytes:.1f}", *times


def _auc_difference(files: Files, probability: np.ndarray) -> float | None:
    """Returns by how much the AUC is higher than that of the runs, mean over the labels."""
    found = []
    for k in range(probability.shape[1]):
        known = files.labels[:, k] >= 0
        positive = files.labels[known, k] > 0
        if positive.any() and not positive.all():
            pair = (roc_auc_score(positive, p[known, k]) for p in (probability, files.probability))
            exported, own = pair
            found.append(exported - own)
    return float(np.mean(found)) if found else None


def _milliseconds(answer: Callable[[slice], object], count: int, batch: int) -> float:
    """Returns the time of an image in the median batch, after a first one of the same size."""
    batch = min(batch, count)
    answer(slice(0, batch))
    times = []
    for start in range(0, min(count, TIMED) - batch + 1, batch):
        began = time.perf_counter()
        answer(slice(start, start + batch))
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times) / batch
