"""What a run learnt from, kept with it: fingerprints of its images, and which patients they show.

By it a later evaluation knows an overlap although the run's data set is not there any more.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import data_split, dataset, duplicates, examples, pipeline
from trainer.data.decode import radiograph
from trainer.system import array_file, threads

FILE = "fingerprints.npz"
VERSION = 1
SIDE = 128  # pixels, as when a data set is prepared
# The epoch, the threshold and the temperature are chosen on validation.
SPLITS = ("train", "validation")
DIGEST = 8  # bytes of a patient's hash


@dataclass(frozen=True)
class LearntImages:
    """The images and the patients that a run learnt from.

    Attributes:
      prints: [n, bytes] uint8, the perceptual hash of each image.
      patients: [m] uint64, the hash of each known patient.
    """

    prints: np.ndarray
    patients: np.ndarray

    @classmethod
    def of_splits(cls, splits: Iterable[data_split.Split]) -> "LearntImages":
        """Returns what prepared splits show.

        Raises:
          DataLost: an image cannot be read.
        """
        prints, patients = [], set[str]()
        for split in splits:
            names, of_split = examples.identities(split)
            patients |= known_patients(of_split, names)
            prints.append(image_fingerprints(split))
        return cls(np.concatenate(prints), hashes(sorted(patients)))

    @classmethod
    def read(cls, workdir: epath.Path) -> "LearntImages | None":
        """Returns what a run keeps, None of an older one.

        Raises:
          UsageError: the file cannot be read.
        """
        return array_file.read(
            workdir / FILE,
            lambda saved: cls(saved["prints"], saved["patients"]),
            version=VERSION,
            remedy="delete it, and the run's data set is compared with instead",
        )

    def save(self, workdir: epath.Path) -> None:
        """Writes it into the folder of the run."""
        array_file.write(workdir / FILE, vars(self), version=VERSION, compressed=True)


def write(workdir: epath.Path, splits: Mapping[str, data_split.Split]) -> None:
    """Writes what a run learnt from, unless that is there already."""
    if not (workdir / FILE).exists():
        LearntImages.of_splits(splits[name] for name in SPLITS).save(workdir)


def hashes(patients: Sequence[str]) -> np.ndarray:
    """Returns a hash of each patient, [n] uint64."""
    digests = [
        hashlib.blake2b(patient.encode(errors="surrogateescape"), digest_size=DIGEST).digest()
        for patient in patients
    ]
    return np.frombuffer(b"".join(digests), np.uint64)


def known_patients(patients: Sequence[str], names: Sequence[str]) -> set[str]:
    """Returns the patients without those that are the name of a file: these are not known."""
    return set(patients) - set(names)


def image_fingerprints(split: data_split.Split) -> np.ndarray:
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
            raise data_split.lost(f"an image of split {split.name}", error) from error

    starts = range(pipeline.READ_BATCH, split.size, pipeline.READ_BATCH)
    blocks: Iterable[np.ndarray] = np.split(np.arange(split.size), list(starts))
    cores = len(os.sched_getaffinity(0))
    found = [one for part in threads.map_in_order(of_block, blocks, threads=cores) for one in part]
    return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), duplicates.BITS // 8)
