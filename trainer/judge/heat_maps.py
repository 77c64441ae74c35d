"""Pictures of where the evidence for each prediction lies, as files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from etils import epath
from PIL import Image

from trainer.judge.input_files import DecodedFile
from trainer.metrics import classification
from trainer.models import attribution
from trainer.show.pictures.heat import heat_sheet
from trainer.system import atomic
from trainer.training.trained_model import TrainedModel


@dataclass(frozen=True)
class HeatMaps:
    """Writes Grad-CAM of the likeliest label over each image.

    Attributes:
      folder: where a file's picture lies under its own path, with .png behind it.
      network: whose evidence it is.
    """

    folder: epath.Path
    network: TrainedModel

    def write(self, files: Sequence[DecodedFile], images: np.ndarray) -> None:
        """Writes the pictures of some files.

        Args:
          files: what they are.
          images: as the network sees them, [n, S, S, 1] uint8.
        """
        network, logits = self.network, self.network.logits(images)
        likeliest, probability = logits.argmax(1), classification.probabilities(logits)
        found = attribution.grad_cam(network.model, network.inputs(images), likeliest)
        ((layer, heat),) = found.evidence.items()
        for number, file in enumerate(files):
            label = likeliest[number]
            title = f"{network.labels[label]}, probability {probability[number, label]:.3f}"
            one = slice(number, number + 1)
            maps = {f"Grad-CAM at {layer}": heat[one]}
            captions = [PurePosixPath(file.path).name]
            picture = heat_sheet(title, images[one], maps, captions=captions)
            content = io.BytesIO()
            Image.fromarray(picture.pixels).save(content, "PNG")
            atomic.write_bytes(self.folder / _picture(file.path), content.getvalue())


def _picture(path: str) -> str:
    """Returns the picture of a file, below a folder whatever the path is."""
    parts = path.partition("://")[2] or path
    return "/".join(part for part in parts.split("/") if part not in ("", ".", "..")) + ".png"
