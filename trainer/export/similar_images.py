"""Training images that go into an export if that is asked for, to show those most like an image."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath
from PIL import Image

from trainer.data import data_split, dataset
from trainer.data.decode import stored
from trainer.judge import gate
from trainer.judge.ensemble import Ensemble
from trainer.system import array_file
from trainer.system.errors import UsageError
from trainer.training.run_files import RunFiles

FILE = "similar.npz"
VERSION = 1
SIDE = 128  # pixels, the longer side of a picture at most
QUALITY = 85  # of its JPEG
SALT = 0x51A1  # tells this draw apart from others under the seed
AT_ONCE = 64  # images


class Similar(NamedTuple):
    """A training image.

    Attributes:
      distance: from the image that it is like, 0 to 2: that of their features, each of length 1.
      labels: [K] int8: 1, 0, or -1 where it is not known.
      picture: a grey JPEG.
    """

    distance: float
    labels: np.ndarray
    picture: bytes

    def shows(self, labels: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Returns its class, or the labels that it has, by the names of labels and classes."""
        values = self.labels.tolist()
        if classes:
            return [classes[value] for value in values if value >= 0]
        return [label for label, value in zip(labels, values, strict=True) if value > 0]

    def unknown(self, labels: Sequence[str]) -> list[str]:
        """Returns the labels of which nobody knows whether it has them."""
        return [label for label, value in zip(labels, self.labels, strict=True) if value < 0]


@dataclass(frozen=True)
class SimilarImages:
    """Training images of the first run, by what its network makes of them; no name, no patient.

    Attributes:
      features: [n, d] float32, each of length 1.
      labels: [n, K] int8, as in `Similar`.
      pictures: n grey JPEGs, `SIDE` pixels long at most.
    """

    features: np.ndarray
    labels: np.ndarray
    pictures: Sequence[bytes]

    @classmethod
    def draw(cls, ensemble: Ensemble, data: epath.PathLike, most: int) -> "SimilarImages":
        """Draws images of the training split, the same for the same seed.

        Args:
          ensemble: the runs.
          data: the prepared data set of the first.
          most: number of images; of fewer all are taken.

        Raises:
          UsageError: the run was not trained on that data set.
          DataLost: an image cannot be read.
        """
        split, member = data_split.open_split(data, "train"), ensemble.members[0]
        if split.fingerprint != RunFiles(ensemble.workdirs[0]).dataset_fingerprint:
            raise UsageError(
                f"{data} is not as {ensemble.workdirs[0]} was trained on it, so that it has no "
                "training images for --similar: give --data=DIR of that data set, or no --similar."
            )
        numbers = np.random.default_rng([member.config.seed, SALT]).permutation(split.size)[:most]
        features, labels, pictures = [], [], []
        for start in range(0, len(numbers), AT_ONCE):
            images, of_images = _read(split, numbers[start : start + AT_ONCE])
            fitted = np.stack([member.fitted_image(image) for image in images])
            features.append(member.logits_and_features(fitted)[1])
            labels.append(of_images)
            pictures += [_picture(image) for image in images]
        return cls(gate.unit(np.concatenate(features)), np.concatenate(labels), pictures)

    @classmethod
    def load(cls, folder: epath.Path) -> "SimilarImages | None":
        """Returns those of an export, None where it has none.

        Raises:
          UsageError: they cannot be read.
        """

        def interpret(saved: Mapping[str, Any]) -> "SimilarImages":
            content, ends = saved["pictures"].tobytes(), saved["ends"].tolist()
            pictures = [content[start:end] for start, end in itertools.pairwise([0, *ends])]
            return cls(gate.unit(saved["features"].astype("f4")), saved["labels"], pictures)

        remedy = "export the run again"
        return array_file.read(folder / FILE, interpret, version=VERSION, remedy=remedy)

    def save(self, folder: epath.Path) -> None:
        """Writes them into the folder of an export."""
        arrays = {
            "features": self.features.astype("f2"),
            "labels": self.labels,
            "pictures": np.frombuffer(b"".join(self.pictures), np.uint8),
            "ends": np.cumsum([len(picture) for picture in self.pictures]),
        }
        array_file.write(folder / FILE, arrays, version=VERSION)

    def nearest(self, features: np.ndarray, count: int) -> list[Similar]:
        """Returns the images most like another, the most similar first.

        Args:
          features: [d] float32, of the other.
          count: number of images; of fewer all are returned.
        """
        (distances,) = gate.distances(gate.unit(features[np.newaxis]), self.features)
        return [
            Similar(float(distances[n]), self.labels[n], self.pictures[n])
            for n in np.argsort(distances, kind="stable")[:count]
        ]


def _read(split: data_split.Split, numbers: np.ndarray) -> tuple[list[Image.Image], np.ndarray]:
    """Returns images as they are stored, and their labels."""
    wanted = dataset.stored_features(len(split.labels))
    parsed = tf.io.parse_example(
        split.read(numbers), {name: wanted[name] for name in ("image", "labels")}
    )
    try:
        images = [Image.fromarray(stored.decode(file)) for file in parsed["image"].numpy()]
    except ValueError as error:
        raise data_split.lost(f"an image of split {split.name}", error) from error
    return images, parsed["labels"].numpy().astype(np.int8)


def _picture(image: Image.Image) -> bytes:
    """Returns a small JPEG of the pixels alone: nothing else of a file goes into an export."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
