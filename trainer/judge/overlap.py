"""Whether judged images or their patients were trained on."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data import data_split, duplicates, staging, summary_file
from trainer.judge import learnt_images
from trainer.judge.ensemble import Ensemble
from trainer.judge.judged_data import JudgedData
from trainer.judge.learnt_images import LearntImages, known_patients
from trainer.metrics import evaluation_files
from trainer.system.errors import ExitError
from trainer.training.trained_model import TrainedModel


@dataclass(frozen=True)
class Overlap:
    """What judged images have in common with what the network learnt from.

    Attributes:
      patients: judged patients of whom images were learnt from.
      images: judged images that were learnt from, or whose near-duplicate was.
      shared: [n] bool, the images of either kind.
      unchecked: data sets that are not there to compare, with the reason.
    """

    patients: int
    images: int
    shared: np.ndarray
    unchecked: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.shared.any())

    @property
    def sentence(self) -> str:
        """What is shown beside figures: what was found, and what could not be compared."""
        counted = f"{self.patients:,} of its patients and {self.images:,} of its images"
        found = (
            f"{counted} were among those that the network learnt from, so that the figures are "
            "too good."
            if self
            else "No patient and no image of it, nor a near-duplicate, was learnt from."
        )
        if not self.unchecked:
            return found
        unchecked = "; ".join(self.unchecked)
        begin = f"{found} But whether" if self else "Whether"
        return f"{begin} the network has trained on these patients is not known: {unchecked}."

    def content(self) -> dict[str, Any]:
        """Returns what `evaluation/NAME.json` has of it."""
        return {
            "patients": self.patients,
            "images": self.images,
            "checked": not self.unchecked,
            "sentence": self.sentence,
        }


def find(data: JudgedData, network: Ensemble) -> Overlap:
    """Compares judged data with what each network of an ensemble learnt from.

    Patients are the same where their keys are, unless a key is the name of a file, which stands for
    a patient that is not known. Images are the same that are near-duplicates to the eye.
    """
    same_patient, same_image = np.zeros((2, len(data.names)), bool)
    unchecked, seen = list[str](), set[str]()
    prints: np.ndarray | None = None
    for workdir, member in zip(network.workdirs, network.members, strict=True):
        fingerprint = str(member.data.get("dataset_fingerprint"))
        if fingerprint == data.fingerprint:
            same_image |= data.lie_in(learnt_images.SPLITS)
            same_patient |= same_image
            continue
        if fingerprint in seen:
            continue
        seen.add(fingerprint)
        learnt = LearntImages.read(workdir) or _of_data_set(member)
        if isinstance(learnt, str):
            unchecked.append(learnt)
            validation = evaluation_files.read_predictions(workdir, "validation")
            known = known_patients(validation.patients, validation.images)
            same_patient |= _among(data, learnt_images.hashes(sorted(known)))
            continue
        if prints is None:
            prints = learnt_images.image_fingerprints(data.split)
        same_patient |= _among(data, learnt.patients)
        same_image |= duplicates.nearest(prints, learnt.prints) <= duplicates.NEAR_BITS
    shared_patients = len(set(itertools.compress(data.patients, same_patient)))
    shared = same_patient | same_image
    return Overlap(shared_patients, int(same_image.sum()), shared, tuple(unchecked))


def _of_data_set(member: TrainedModel) -> LearntImages | str:
    """Returns what an older run learnt from, or why its data set is not there to compare."""
    path = member.config.data.path
    try:
        root = summary_file.root(path)
        local = staging.local(root)
        summary: Mapping[str, Any] | None = summary_file.read(local)
        if summary is None:
            return f"its data set {path} is not there"
        if summary["dataset_fingerprint"] != member.data.get("dataset_fingerprint"):
            return f"{path} holds another data set now"
        return LearntImages.of_splits(
            data_split.open_split(local, name) for name in learnt_images.SPLITS
        )
    except (ExitError, OSError, tf.errors.OpError):
        return f"its data set {path} cannot be read"


def _among(data: JudgedData, patients: np.ndarray) -> np.ndarray:
    """Returns which judged images are of patients with one of the hashes, [n] bool."""
    known = known_patients(data.patients, data.names)
    is_known = np.array([patient in known for patient in data.patients])
    return is_known & np.isin(learnt_images.hashes(data.patients), patients)
