"""One or several finished runs as one network: the mean of their calibrated log-odds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from etils import epath
from PIL import Image
from scipy.special import log_expit

from trainer.data.decode import fit
from trainer.data.prepare.ingest import DecodeOptions
from trainer.metrics import calibration, classification, evaluation_files
from trainer.metrics.operating_points import CHOSEN, HALF, OperatingPoints
from trainer.metrics.outputs import IndependentLabels
from trainer.metrics.scores import Scores
from trainer.system.errors import UsageError
from trainer.system.json_files import damage_reported
from trainer.training.trained_model import TrainedModel

VALIDATION = "validation"


class Fit(NamedTuple):
    """How a stored image becomes a network's square.

    Attributes:
      image_size: side of the square, pixels.
      mode: see `trainer.data.decode.fit`.
    """

    image_size: int
    mode: str


@dataclass(frozen=True)
class Ensemble:
    """The networks of one or several runs with the same labels, used as one.

    Of one run everything is as the run itself has it. Several runs give the mean of their
    calibrated log-odds; the threshold is the mean of theirs, and the temperature is chosen on their
    common validation images, as a run chooses its own.

    Attributes:
      workdirs: of the runs.
      members: their networks.
      points: thresholds and temperatures, from validation alone.
      reason: how these were chosen, in a sentence without a full stop.
    """

    workdirs: tuple[epath.Path, ...]
    members: tuple[TrainedModel, ...]
    points: OperatingPoints
    reason: str

    @classmethod
    def load(cls, workdirs: Sequence[epath.PathLike]) -> "Ensemble":
        """Loads finished runs with the weights that they kept, onto the current strategy's devices.

        Raises:
          UsageError: one cannot be read, is named twice, or they do not fit together.
          CheckpointsDamaged: a checkpoint of these weights is damaged.
        """
        paths = tuple(epath.Path(workdir) for workdir in workdirs)
        members = tuple(TrainedModel.load(path) for path in paths)
        _require_alike(paths, members)
        return cls(paths, members, *_points(paths, members))

    def check_comparable(self, other: "Ensemble") -> None:
        """Raises a UsageError unless another network's predictions can be compared with these."""
        paths, members = self.workdirs + other.workdirs, self.members + other.members
        _require_alike(paths, members, "compared")

    def alone(self) -> list["Ensemble"]:
        """Returns each run on its own."""
        pairs = zip(self.workdirs, self.members, strict=True)
        return [Ensemble((p,), (m,), *_points((p,), (m,))) for p, m in pairs]

    @property
    def labels(self) -> list[str]:
        """Names of the K labels."""
        return self.members[0].labels

    @property
    def classes(self) -> list[str]:
        """The two class names where K is 1, the negative one first; else none."""
        return self.members[0].classes

    @property
    def outputs(self) -> IndependentLabels:
        """What the outputs are."""
        return self.members[0].outputs

    @property
    def decoding(self) -> DecodeOptions:
        """How files become stored images."""
        return self.members[0].decoding

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The different squares that the members take, in the order of the members."""
        return tuple(dict.fromkeys(map(_fit, self.members)))

    def fitted_images(self, stored: Image.Image) -> tuple[np.ndarray, ...]:
        """Returns a stored image fitted to each of `fits`, [S, S, 1] uint8."""
        return tuple(fit.fit(stored, *each) for each in self.fits)

    def logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the log-odds of each label, [n, K] float32.

        Args:
          images: for each of `fits`, [n, S, S, 1] uint8: the same n images.
        """
        by_fit = dict(zip(self.fits, images, strict=True))
        return self.combined([member.logits(by_fit[_fit(member)]) for member in self.members])

    def logits_and_features(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the log-odds, and the features of the first member: [n, d] float32.

        Args:
          images: as in `logits`; the networks are compiled at the first call.
        """
        by_fit = dict(zip(self.fits, images, strict=True))
        found = [member.logits_and_features(by_fit[_fit(member)]) for member in self.members]
        return self.combined([logits for logits, _ in found]), found[0][1]

    def combined(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the log-odds of the whole, [n, K] float32, from those of each member."""
        return _combined(self.members, logits)

    def validation_scores(self) -> Scores | None:
        """Returns the scores of the whole on validation; None where the members' images differ."""
        return _validation_scores(self.workdirs, self.members)

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Returns the log-odds of the whole at its temperatures, [n, K] float32."""
        return self.outputs.calibrated(logits, self.points.temperatures)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probability that log-odds stand for, [n, K] float64."""
        return classification.probabilities(logits)

    def decisions(self, logits: np.ndarray, point: str = CHOSEN) -> np.ndarray:
        """Returns which labels are predicted at an operating point: [n, K] bool.

        Of classes that exclude one another it is the likeliest, at any point.

        Args:
          logits: of the whole, not calibrated, [n, K].
          point: name of the operating point, `CHOSEN` or `HALF`.
        """
        if self.outputs.exclusive:
            return self.outputs.decide(logits)
        return logits >= np.asarray(self.points.thresholds[point])


def _fit(member: TrainedModel) -> Fit:
    return Fit(member.config.data.image_size, member.config.data.fit)


def _combined(members: Sequence[TrainedModel], logits: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean of the calibrated log-odds; of one member its own, not calibrated."""
    if len(members) == 1:
        return logits[0]
    return combine(logits, [member.temperatures for member in members], members[0].outputs)


def combine(
    logits: Sequence[np.ndarray],
    temperatures: Sequence[Sequence[float]],
    outputs: IndependentLabels,
) -> np.ndarray:
    """Returns the mean of calibrated log-odds, [n, K] float32.

    Args:
      logits: of each network, [n, K], not calibrated.
      temperatures: of each network, for each of its K labels.
      outputs: what the labels are; classes that exclude one another have the softmax of the mean
        log-probabilities.
    """
    calibrated = [
        outputs.calibrated(one, each) for one, each in zip(logits, temperatures, strict=True)
    ]
    if outputs.exclusive:
        return outputs.log_odds(np.mean([log_expit(one) for one in calibrated], axis=0))
    return np.mean(calibrated, axis=0).astype(np.float32)


def _require_alike(
    paths: Sequence[epath.Path],
    members: Sequence[TrainedModel],
    use: str = "used as one network",
) -> None:
    """Raises a UsageError where runs cannot be used in the way that `use` says."""
    seen: set[epath.Path] = set()
    for path, member in zip(paths, members, strict=True):
        if path in seen:
            raise UsageError(f"{path} is named twice: give each run once.")
        seen.add(path)
        for what, value in _common(member).items():
            if value != (first := _common(members[0])[what]):
                raise UsageError(
                    f"{path} and {paths[0]} cannot be {use}, as their {what} differ "
                    f"({value} and {first}): give runs that have them in common."
                )


def _common(member: TrainedModel) -> dict[str, str]:
    """Returns what all members must have in common, by its name."""
    kind = "exclude one another" if member.outputs.exclusive else "are independent"
    return {
        "labels": f"{', '.join(member.labels)}, which {kind}",
        "classes": ", ".join(member.classes) or "none",
        "decode options": ", ".join(f"{n}={v}" for n, v in asdict(member.decoding).items()),
    }


def _points(
    paths: Sequence[epath.Path], members: Sequence[TrainedModel]
) -> tuple[OperatingPoints, str]:
    """Returns thresholds and temperatures, and how they were chosen."""
    own = []
    for path, member in zip(paths, members, strict=True):
        with damage_reported(path / "evaluation/test.json"):
            own.append(evaluation_files.thresholds(member.evaluation, CHOSEN))
    if len(members) == 1:
        reason = "threshold and temperature are the run's own, chosen on its validation images"
        points = {HALF: [0.0] * len(own[0]), CHOSEN: own[0]}
        return OperatingPoints(points, members[0].temperatures), reason
    reason = "the threshold is the mean of those that the runs chose, as calibrated log-odds"
    if (scores := _validation_scores(paths, members)) is not None:
        reason += f", the temperature that of their {len(scores.labels):,} validation images"
    else:
        reason += "; each run is calibrated on its own validation images, which differ"
    return combined_points(own, [member.temperatures for member in members], scores), reason


def combined_points(
    thresholds: Sequence[Sequence[float]],
    temperatures: Sequence[Sequence[float]],
    validation: Scores | None,
) -> OperatingPoints:
    """Returns the operating points of several networks as one, see `combine`.

    Args:
      thresholds: that each network's own validation chose, a logit for each label.
      temperatures: of each network, likewise; they calibrate its logits.
      validation: scores of the whole, which calibrate it; None where there are none.
    """
    chosen = np.mean(np.divide(thresholds, temperatures), axis=0).tolist()
    ones = [1.0] * len(chosen)
    of_whole = ones if validation is None else calibration.temperatures(validation)
    return OperatingPoints({HALF: [0.0] * len(chosen), CHOSEN: chosen}, of_whole)


def _validation_scores(
    paths: Sequence[epath.Path], members: Sequence[TrainedModel]
) -> Scores | None:
    """Returns the scores of the whole on validation; None where the images or labels differ."""
    validation = [evaluation_files.read_predictions(path, VALIDATION) for path in paths]
    first, others = validation[0], validation[1:]
    if not all(
        other.images == first.images and np.array_equal(other.scores.labels, first.scores.labels)
        for other in others
    ):
        return None
    logits = [one.scores.logits.astype(np.float32) for one in validation]
    return first.scores._replace(logits=_combined(members, logits))
