"""What is known of one predicted file, for whoever writes more than its row."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from trainer.judge.gate import Finding
from trainer.judge.input_files import DecodedFile


class Predicted(NamedTuple):
    """A file with its prediction.

    Attributes:
      file: what it is.
      image: as the first network sees it, [S, S, 1] uint8.
      probabilities: of each label, not calibrated, [K].
      calibrated: the same at the temperature of validation, [K].
      decided: which labels are decided for, [K] bool.
      finding: the first check of the gate that it does not pass; None where it passes.
    """

    file: DecodedFile
    image: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray
    decided: np.ndarray
    finding: Finding | None


class ResultFiles(Protocol):
    """Files that are written for each predicted one, such as pictures."""

    def write(self, predicted: Sequence[Predicted]) -> Mapping[int, str]:
        """Writes those of some predicted files, before their rows are.

        Returns:
          by a file's place among them, why it can have none, in a few words.
        """
