"""Whether an image is what a network was trained on, so that its answer can mean something."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import data_split, pipeline
from trainer.judge import appearance
from trainer.judge.appearance import Likeness, Looks
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.models.layer_outputs import to_float32
from trainer.system import array_file
from trainer.training.trained_model import with_features

FILE = "gate.npz"
VERSION = 1
MOST_IMAGES = 2000  # of the training set that are looked at
LEAST_IMAGES = 20  # fewer tell nothing
FITTED = 0.7  # share of these that is fitted; the others give the limits
FLAGGED = 0.005  # share of the others that lies beyond each limit
SALT = 0x6A7E  # tells this draw apart from others under the seed
AT_ONCE = 64  # images
NEIGHBOURS = 10
DARKEST_EDGE = 8  # grey levels within a row or column of a border
MOST_BORDER = 0.5  # share of an image that is allowed to be border, if no training image has more
SMALL = 4  # how many times smaller than the network's square an image may be
LIKENESS = ("mean", "deviation", "components", "variances", "rest")  # its fields
LIMITS = ("contrast", "border", "looks", "features")
PLAUSIBLE = 1.25  # times the limit of distance that an image turned right is within


def write(
    workdir: epath.Path, split: data_split.Split, model: keras.Model, config: ConfigDict
) -> None:
    """Fits the gate of a run to its training split and writes it; too few images have none.

    Args:
      workdir: of the run.
      split: the training split.
      model: the network with the weights that were evaluated.
      config: of the run.
    """
    if split.size >= LEAST_IMAGES:
        Gate.fit(TrainingImages.draw(split, model, config)).save(workdir)


class Finding(NamedTuple):
    """The first check that an image does not pass.

    Attributes:
      check: its name.
      value: of the image.
      limit: beyond which it is flagged.
    """

    check: str
    value: float
    limit: float


@dataclass(frozen=True)
class Gate:
    """What the training images of a run look like, to the eye and to its network.

    Attributes:
      side: of the network's square, pixels.
      likeness: of their looks.
      neighbours: [n, d] float32, their features, each of length 1.
      limits: least contrast, most border, and largest distances of looks and of features.
    """

    side: int
    likeness: Likeness
    neighbours: np.ndarray
    limits: dict[str, float]

    @classmethod
    def fit(cls, images: "TrainingImages") -> "Gate":
        """Returns the gate of training images, of which the last ones give the limits."""
        fitted = int(FITTED * len(images.features))
        looks = Looks(*(part[:fitted] for part in images.looks))
        others = Looks(*(part[fitted:] for part in images.looks))
        likeness = Likeness.fit(looks.table())
        features = unit(images.features)
        neighbours = features[:fitted]
        limits = {
            "contrast": float(np.quantile(images.contrast, FLAGGED)) / 2,
            "border": max(MOST_BORDER, float(np.quantile(images.border, 1 - FLAGGED))),
            "looks": _highest(likeness.distance(others)),
            "features": _highest(_distance(neighbours, features[fitted:])),
        }
        return cls(images.side, likeness, neighbours, limits)

    @classmethod
    def load(cls, workdir: epath.Path) -> "Gate | None":
        """Returns the gate of a run, None where it has none.

        Raises:
          UsageError: it cannot be read.
        """

        def interpret(saved: Mapping[str, Any]) -> "Gate":
            likeness = Likeness(*(saved[name] for name in LIKENESS))
            limits = {name: float(saved[f"limit_{name}"]) for name in LIMITS}
            return cls(int(saved["side"]), likeness, saved["neighbours"].astype("f4"), limits)

        return array_file.read(
            workdir / FILE,
            interpret,
            version=VERSION,
            remedy="delete it, and the run's predictions are not checked, or train or evaluate the "
            "run again",
        )

    def save(self, workdir: epath.Path) -> None:
        """Writes the gate into the folder of its run."""
        limits = {f"limit_{name}": limit for name, limit in self.limits.items()}
        arrays = {"side": self.side, **vars(self.likeness), **limits}
        arrays["neighbours"] = self.neighbours.astype("f2")
        array_file.write(workdir / FILE, arrays, version=VERSION)

    def findings(
        self, images: np.ndarray, features: np.ndarray, sizes: Sequence[tuple[int, int]]
    ) -> list[Finding | None]:
        """Returns the first check that each image does not pass, None where it passes all.

        Args:
          images: [n, S, S, 1] uint8.
          features: [n, d] float32, what the network makes of them.
          sizes: (width, height) of each as it is stored, pixels.
        """
        checks = list(self._checks(images, features, sizes))
        return [
            next(
                (
                    Finding(name, float(values[number]), float(limit))
                    for name, flagged, values, limit in checks
                    if flagged[number]
                ),
                None,
            )
            for number in range(len(images))
        ]

    def _checks(
        self, images: np.ndarray, features: np.ndarray, sizes: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
        """Yields of each check its name, which images it flags, their values, and the limit."""
        limits, found = self.limits, appearance.looks(images)
        smallest, least = np.array([min(size) for size in sizes]), self.side / SMALL
        yield "too small", smallest < least, smallest, least
        contrast, border = plain(images)
        yield "nearly constant", contrast < limits["contrast"], contrast, limits["contrast"]
        yield "mostly border", border > limits["border"], border, limits["border"]
        distance = self.likeness.distance(found)
        turned = np.stack([self.likeness.distance(other) for other in _turned(found)])
        ratio, is_inverted = turned.min(0) / distance, turned.argmin(0) == 0
        wrong = (ratio < 1) & (turned.min(0) < PLAUSIBLE * limits["looks"])
        yield "inverted", wrong & is_inverted, ratio, 1.0
        yield "rotated", wrong, ratio, 1.0
        yield "unlike", distance > limits["looks"], distance, limits["looks"]
        far = _distance(self.neighbours, unit(features))
        yield "far", far > limits["features"], far, limits["features"]


class TrainingImages(NamedTuple):
    """What a gate is fitted to, n images in random order.

    Attributes:
      side: of the network's square, pixels.
      looks: of them.
      features: [n, d] float32.
      contrast: [n], see `plain`.
      border: [n], see `plain`.
    """

    side: int
    looks: Looks
    features: np.ndarray
    contrast: np.ndarray
    border: np.ndarray

    @classmethod
    def draw(
        cls, split: data_split.Split, model: keras.Model, config: ConfigDict
    ) -> "TrainingImages":
        """Draws images of the training split, the same for the same seed.

        Args:
          split: the training split.
          model: the network with the weights that were evaluated.
          config: of the run.
        """
        random = np.random.default_rng([config.seed, SALT])
        numbers = random.permutation(split.size)[:MOST_IMAGES]
        side, network = config.data.image_size, with_features(model)
        pixels = pipeline.pixels(split, side, "none", fit_mode=config.data.fit)
        parts = []
        batches = pixels.look_up(tf.data.Dataset.from_tensor_slices(numbers).batch(AT_ONCE))
        for images, _ in batches:
            inputs = repeat_channels(images_to_float(images), config.model.channels)
            _, features = network(inputs, training=False)
            found = appearance.looks(images.numpy())
            parts.append((*found, to_float32(features), *plain(images.numpy())))
        *looks, features, contrast, border = map(np.concatenate, zip(*parts, strict=True))
        return cls(side, Looks(*looks), features, contrast, border)


def plain(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the standard deviation of the grey values, and the share of the border: [n] each.

    The border are the rows and columns at the edges of an image that are nearly of one value.

    Args:
      images: [n, S, S, 1] uint8.
    """
    pixels, shares = images[..., 0], []
    for axis in (1, 2):
        content = np.ptp(pixels, axis=axis) > DARKEST_EDGE
        first, last = content.argmax(1), content[:, ::-1].argmax(1)
        inside = (content.shape[1] - first - last) * content.any(1)
        shares.append(inside / content.shape[1])
    return pixels.std((1, 2)), 1 - shares[0] * shares[1]


def _turned(found: Looks) -> list[Looks]:
    """Returns the looks of the negatives, and of the images rotated by 90, 180 and 270 degrees."""
    return [found.negative(), *(found.rotated(quarters) for quarters in (1, 2, 3))]


def _distance(neighbours: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Returns the distance to the k-th nearest neighbour (Sun et al., ICML 2022): [n]."""
    nth = min(NEIGHBOURS, len(neighbours)) - 1
    return np.partition(distances(features, neighbours), nth, axis=1)[:, nth]


def distances(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the distances of features [n, d] from others [m, d], all of length 1: [n, m]."""
    return np.sqrt(np.maximum(2 - 2 * features @ others.T, 0))


def unit(features: np.ndarray) -> np.ndarray:
    """Returns features, [n, d], each of length 1."""
    return features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-9)


def _highest(distances: np.ndarray) -> float:
    return float(np.quantile(distances, 1 - FLAGGED))
