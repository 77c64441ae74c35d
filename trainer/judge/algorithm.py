"""What made a prediction, as its results name it."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import trainer
from trainer.judge.ensemble import Ensemble
from trainer.metrics import classification
from trainer.metrics.operating_points import CHOSEN

NAME = "radiograph-trainer"
RESEARCH = "Research use only, not a medical device"


@dataclass(frozen=True)
class Algorithm:
    """The network, with all that its results depend on.

    Attributes:
      runs: names of the runs.
      weights: a digest of their weights and of the views they answer by, hexadecimal.
      labels: names of the K labels.
      thresholds: probability, not calibrated, from which on each is decided for; None where the
        likeliest is.
    """

    runs: tuple[str, ...]
    weights: str
    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None

    @classmethod
    def of_network(cls, network: Ensemble, threshold: float | None = None) -> "Algorithm":
        """Returns the algorithm that a network is, at a threshold or at those of validation."""
        digest = hashlib.sha256()
        for member in network.members:
            for weights in member.model.get_weights():
                digest.update(np.ascontiguousarray(weights).tobytes())
            if member.config.model.views > 1:
                digest.update(f"views {member.config.model.views}".encode())
        chosen = classification.probabilities(np.array(network.points.thresholds[CHOSEN]))
        thresholds = [threshold] * len(chosen) if threshold else chosen.tolist()
        return cls(
            tuple(path.name for path in network.workdirs),
            digest.hexdigest()[:16],
            tuple(network.labels),
            None if network.outputs.exclusive else tuple(thresholds),
        )

    @property
    def version(self) -> str:
        """The version of this package."""
        return trainer.__version__

    @property
    def parameters(self) -> list[str]:
        """What else tells it apart, in words."""
        runs = "run" if len(self.runs) == 1 else "runs"
        return [f"{runs} {', '.join(self.runs)}", f"weights {self.weights}", RESEARCH]

    def uid(self, *parts: str) -> str:
        """Returns the DICOM UID of a result: always the same for the same parts.

        Args:
          parts: what the result is of, and its kind.
        """
        whole: Sequence[object] = [*parts, self.version, self.runs, self.weights, self.thresholds]
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(whole)).int}"
