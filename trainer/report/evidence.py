"""Where the evidence for a label lies in one image: heat to lay over it, and a sheet of maps."""

import io
from typing import NamedTuple

import keras
import numpy as np
from PIL import Image

from trainer.models import attribution, layer_outputs
from trainer.report.album import Picture, embedded
from trainer.show.pictures import canvas
from trainer.show.pictures.heat import heat_sheet, overlay

APART = 1.5  # a stage that is shown with Grad-CAM is this much wider than the next
STEPS = 64  # of integrated gradients
SIDE = 600  # of what is looked at closely, in pixels


class Evidence(NamedTuple):
    """The evidence for one label.

    Attributes:
      label: its name.
      radiograph: what the network sees.
      heat: by name of the method, to lay over it; None where there is no evidence.
      sheet: the radiograph and all maps, side by side.
    """

    label: str
    radiograph: Picture
    heat: dict[str, Picture | None]
    sheet: Picture


def evidence(
    model: keras.Model, fitted: np.ndarray, inputs: np.ndarray, *, label: str, output: int
) -> Evidence:
    """Returns the evidence for a label by integrated gradients and Grad-CAM.

    Args:
      model: the network.
      fitted: the image, [S, S, 1] uint8.
      inputs: the same as the network takes it, [1, S, S, C] float32.
      label: its name.
      output: its number.
    """
    pixels = attribution.integrated_gradients(model, inputs, [output], steps=STEPS)
    heat = attribution.grad_cam(model, inputs, [output], layers=stages(model)).evidence
    maps = {
        f"Grad-CAM at {name}, {values.shape[1]} x {values.shape[2]}": values
        for name, values in heat.items()
    }
    maps["integrated gradients"] = pixels
    sheet = heat_sheet(f"Evidence for {label}", fitted[None], maps, captions=[""])
    side = max(SIDE, len(fitted))
    return Evidence(
        label,
        embedded(canvas.png(canvas.tile(fitted, side, side))),
        {name: _layer(overlay(values[0], side, side)) for name, values in maps.items()},
        embedded(sheet.png()),
    )


def stages(model: keras.Model) -> list[str]:
    """Returns the stages that differ much in size, the last one first."""
    chosen, width = [], 0.0
    for name in reversed(layer_outputs.stages(model)):
        own = model.get_layer(name).output.shape[2]
        if own >= APART * width:
            chosen.append(name)
            width = own
    return chosen


def _layer(heat: np.ndarray | None) -> Picture | None:
    """Returns heat [H, W, 4] uint8 as a picture that is clear where there is none."""
    if heat is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(heat).save(buffer, "PNG")
    return embedded(buffer.getvalue())
