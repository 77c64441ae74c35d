"""Whether judged images or their patients were trained on."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data import dataset, duplicates, examples, pipeline, staging, summary_file
from trainer.data.decode import radiograph
from trainer.judge.ensemble import Ensemble
from trainer.judge.judged_data import JudgedData
from trainer.metrics import evaluation_files
from trainer.system import threads
from trainer.system.errors import ExitError
from trainer.training.trained_model import TrainedModel

SIDE = 128  # pixels, as when a data set is prepared
# The epoch, the threshold and the temperature are chosen on validation.
LEARNT_FROM = ("train", "validation")


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
            same_image |= data.lie_in(LEARNT_FROM)
            same_patient |= same_image
            continue
        if fingerprint in seen:
            continue
        seen.add(fingerprint)
        splits = _learnt_from(member)
        if isinstance(splits, str):
            unchecked.append(splits)
            validation = evaluation_files.read_predictions(workdir, "validation")
            known = _known_patients(validation.patients, validation.images)
            same_patient |= _among(data, known)
            continue
        for split in splits:
            names, patients = examples.identities(split)
            same_patient |= _among(data, _known_patients(patients, names))
            if prints is None:
                prints = image_fingerprints(data.split)
            learnt = image_fingerprints(split)
            same_image |= duplicates.nearest(prints, learnt) <= duplicates.NEAR_BITS
    shared_patients = len(set(itertools.compress(data.patients, same_patient)))
    shared = same_patient | same_image
    return Overlap(shared_patients, int(same_image.sum()), shared, tuple(unchecked))


def image_fingerprints(split: pipeline.Split) -> np.ndarray:
    """Returns the perceptual hash of every record, [n, bytes] uint8.

    Raises:
      DataLost: one cannot be read.
    """
    wanted = {"image": dataset.stored_features(len(split.labels))["image"]}

    def of_block(block: np.ndarray) -> list[bytes]:
        files = tf.io.parse_example(split.read(block), wanted)["image"].numpy()
        try:
            return [duplicates.fingerprint(radiograph.decode(file, SIDE)) for file in files]
        except radiograph.Unreadable as error:
            raise pipeline.lost(f"an image of split {split.name}", error) from error

    starts = range(pipeline.READ_BATCH, split.size, pipeline.READ_BATCH)
    blocks: Iterable[np.ndarray] = np.split(np.arange(split.size), list(starts))
    cores = len(os.sched_getaffinity(0))
    found = [one for part in threads.map_in_order(of_block, blocks, threads=cores) for one in part]
    return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), duplicates.BITS // 8)


def _learnt_from(member: TrainedModel) -> list[pipeline.Split] | str:
    """Returns the splits that a network learnt from, or why they are not there to compare."""
    path = member.config.data.path
    try:
        root = summary_file.root(path)
        local = staging.local(root)
        summary: Mapping[str, Any] | None = summary_file.read(local)
        if summary is None:
            return f"its data set {path} is not there"
        if summary["dataset_fingerprint"] != member.data.get("dataset_fingerprint"):
            return f"{path} holds another data set now"
        return [pipeline.open_split(local, name) for name in LEARNT_FROM]
    except (ExitError, OSError, tf.errors.OpError):
        return f"its data set {path} cannot be read"


def _known_patients(patients: Sequence[str], names: Sequence[str]) -> set[str]:
    """Returns the patients without those that are the name of a file: these are not known."""
    return set(patients) - set(names)


def _among(data: JudgedData, patients: set[str]) -> np.ndarray:
    """Returns which judged images are of one of the patients, [n] bool."""
    known = _known_patients(data.patients, data.names)
    return np.array([patient in patients and patient in known for patient in data.patients])
