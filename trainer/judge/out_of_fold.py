"""Predictions of a whole set by cross-validation: of each image by a run not trained on it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from trainer.data import data_split, pipeline
from trainer.data.audit import suspected_labels
from trainer.metrics import classification, evaluation_files, label_errors
from trainer.metrics.label_errors import Suspects
from trainer.metrics.operating_points import CHOSEN
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores
from trainer.show.label_tags import tags_of
from trainer.show.pictures.gallery import error_gallery
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.system.printable import cell
from trainer.training.run_files import RunFiles

MOST_SHOWN = 24  # suspects on the sheet
COLUMNS = 6
SIDE = 224  # of an image on it, pixels
NAME = "out-of-fold"


@dataclass(frozen=True)
class OutOfFold:
    """The test predictions of the runs of all folds, pooled.

    Attributes:
      predictions: of every image, calibrated by its run's own validation.
      margins: [n, K], log-odds above the threshold that its run's validation chose.
      runs: [n] int, the number of the run of each image.
      rows: [n] int, its number in that run's test split.
      workdirs: of the runs.
    """

    predictions: Predictions
    margins: np.ndarray
    runs: np.ndarray
    rows: np.ndarray
    workdirs: Sequence[epath.Path]

    @classmethod
    def read(cls, workdirs: Sequence[epath.PathLike]) -> "OutOfFold":
        """Reads the test predictions of finished runs.

        Raises:
          UsageError: a run is not finished, or the runs are not of folds of one data set.
        """
        runs = [RunFiles(workdir) for workdir in workdirs]
        found = [evaluation_files.read_predictions(run.workdir, "test") for run in runs]
        first = found[0]
        images = [name for one in found for name in one.images]
        if any(one.labels != first.labels for one in found) or len(images) != len({*images}):
            raise UsageError(
                f"the runs {', '.join(run.name for run in runs)} are not of the folds of one data "
                "set: an image is in two test splits, or their labels differ."
            )
        logits, margins = [], []
        for run, one in zip(runs, found, strict=True):
            temperatures = evaluation_files.temperatures(run.test)
            logits.append(one.scores.outputs.calibrated(one.scores.logits, temperatures))
            thresholds = evaluation_files.thresholds(run.test, CHOSEN)
            margins.append(one.scores.logits - np.array(thresholds))
        scores = Scores(
            np.concatenate(logits).astype(np.float32),
            np.concatenate([one.scores.labels for one in found]),
            np.concatenate([one.scores.weights for one in found]),
            first.scores.outputs,
        )
        patients = [patient for one in found for patient in one.patients]
        sizes = [len(one.images) for one in found]
        return cls(
            Predictions(NAME, first.labels, first.classes, images, patients, scores),
            np.concatenate(margins),
            np.repeat(np.arange(len(runs)), sizes),
            np.concatenate([np.arange(size) for size in sizes]),
            [run.workdir for run in runs],
        )

    def evaluate(self, seed: int = 0) -> dict[str, Any]:
        """Returns the figures of the whole set, with intervals over patients.

        The operating point is each run's own, chosen on its validation images.
        """
        pooled = self.predictions
        scores, names = pooled.scores, pooled.labels
        content = classification.evaluate(
            scores, pooled.patients, names=names, thresholds={}, seed=seed
        )
        if not scores.outputs.exclusive:
            decided = classification.evaluate(
                scores._replace(logits=self.margins.astype(np.float32)),
                pooled.patients,
                names=names,
                thresholds={CHOSEN: [0.0] * len(names)},
                seed=seed,
            )
            for name, label in decided["labels"].items():
                content["labels"][name]["operating_points"] = label["operating_points"]
        facts = {"images": len(pooled.images), "patients": len({*pooled.patients})}
        return {"split": NAME, "classes": list(pooled.classes), **facts, **content}

    def suspects(self) -> dict[str, Suspects]:
        """Returns the images whose label is probably wrong, by label; "" of exclusive classes."""
        scores = self.predictions.scores
        probability = classification.probabilities(scores.logits)
        if scores.outputs.exclusive:
            known = np.flatnonzero((scores.labels > 0.5).any(1))
            classes = scores.labels[known].argmax(1)
            return {"": _of_all(label_errors.find(probability[known], classes), known)}
        found = {}
        for k, name in enumerate(self.predictions.labels):
            known = np.flatnonzero(scores.labels[:, k] >= 0)
            pair = np.stack([1 - probability[known, k], probability[known, k]], 1)
            classes = (scores.labels[known, k] > 0.5).astype(int)
            found[name] = _of_all(label_errors.find(pair, classes), known)
        return found

    def class_names(self, label: str) -> list[str]:
        """Returns the names of the classes that a label tells apart."""
        if not label:
            return list(self.predictions.labels)
        return list(self.predictions.classes) or [f"no {label}", label]

    def write_suspects(self, workdir: epath.Path) -> dict[str, dict[str, Any]]:
        """Writes `label_errors.csv`, for a reader to check, and a sheet of the most suspect images.

        Returns:
          {label: {suspected, expected}}, see `label_errors.Suspects`.
        """
        text, found = io.StringIO(), self.suspects()
        tags = tags_of(list(found))
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", "patient", "labelled", "probably", "margin"])
        for label, suspects in found.items():
            names = self.class_names(label)
            for image, suggested, margin in zip(*suspects[:3], strict=True):
                writer.writerow(
                    [
                        cell(self.predictions.images[image]),
                        cell(self.predictions.patients[image]),
                        cell(names[self._labelled(image, label)]),
                        cell(names[suggested]),
                        f"{margin:.4f}",
                    ]
                )
            if len(suspects.images):
                tag = f"-{tags[label]}" if len(found) > 1 else ""
                file = f"label_errors{tag}.png"
                atomic.write_bytes(workdir / file, self._sheet(label, suspects))
        atomic.write_text(workdir / suspected_labels.TABLE, text.getvalue())
        return {
            label: {"suspected": len(suspects.images), "expected": suspects.expected}
            for label, suspects in found.items()
        }

    def _labelled(self, image: int, label: str) -> int:
        labels = self.predictions.scores.labels[image]
        if not label:
            return int(labels.argmax())
        return int(labels[list(self.predictions.labels).index(label)] > 0.5)

    def _test_split(self, run: int) -> data_split.Split:
        path = RunFiles(self.workdirs[run]).settings["data.path"]
        return data_split.open_split(path, "test")

    def _sheet(self, label: str, suspects: Suspects) -> bytes:
        """Returns a PNG of the most suspect images, in rows by what they are labelled."""
        names, by_class = self.class_names(label), dict[str, list[tuple[np.ndarray, str]]]()
        first = [column[:MOST_SHOWN] for column in suspects[:3]]
        splits = {number: self._test_split(number) for number in {*self.runs[first[0]].tolist()}}
        for image, suggested, margin in zip(*first, strict=True):
            split, numbers = splits[int(self.runs[image])], [int(self.rows[image])]
            pixels = pipeline.read_images(split, numbers, SIDE, fit_mode="pad")[0]
            file = self.predictions.images[image].split("/")[-1]
            title = f"labelled {names[self._labelled(image, label)]}, probably {names[suggested]}"
            by_class.setdefault(title, []).append((pixels, f"by {margin:.2f}\n{file}"))
        rows = [
            (title, np.stack([pixels for pixels, _ in part]), [caption for _, caption in part])
            for title, found in by_class.items()
            for part in (found[n : n + COLUMNS] for n in range(0, len(found), COLUMNS))
        ]
        return error_gallery(rows, "Labels that are probably wrong").png()


def _of_all(suspects: Suspects, known: np.ndarray) -> Suspects:
    """Returns the suspects by their numbers among all images."""
    return suspects._replace(images=known[suspects.images])
