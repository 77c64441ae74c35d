"""Pictures of where the evidence for each prediction lies, as files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from etils import epath
from PIL import Image

from trainer.judge.predicted import Predicted
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

    def write(self, predicted: Sequence[Predicted]) -> dict[int, str]:
        """Writes the pictures of some files; every file can have one."""
        network, images = self.network, np.stack([each.image for each in predicted])
        probability = np.stack([each.probabilities for each in predicted])
        likeliest = probability.argmax(1)
        layer, heat = evidence(network, images, likeliest)
        for number, each in enumerate(predicted):
            label = likeliest[number]
            title = f"{network.labels[label]}, probability {probability[number, label]:.3f}"
            one = slice(number, number + 1)
            maps = {f"Grad-CAM at {layer}": heat[one]}
            captions = [PurePosixPath(each.file.path).name]
            picture = heat_sheet(title, images[one], maps, captions=captions)
            content = io.BytesIO()
            Image.fromarray(picture.pixels).save(content, "PNG")
            path = f"{below(each.file.path)}.png"
            atomic.write_bytes(self.folder / path, content.getvalue())
        return {}


def evidence(
    network: TrainedModel, images: np.ndarray, labels: np.ndarray
) -> tuple[str, np.ndarray]:
    """Returns the layer, and Grad-CAM of a label of each image there, [n, h, w] float32.

    Args:
      network: whose evidence it is.
      images: as it sees them, [n, S, S, 1] uint8.
      labels: [n] int.
    """
    found = attribution.grad_cam(network.model, network.inputs(images), labels)
    ((layer, heat),) = found.evidence.items()
    return layer, heat


def below(path: str) -> str:
    """Returns the path of a file's results, below a folder whatever the path is."""
    parts = path.partition("://")[2] or path
    return "/".join(part for part in parts.split("/") if part not in ("", ".", ".."))
