"""Evidence as a picture to lay over a radiograph."""

import numpy as np
from PIL import Image

from trainer.serve.decoding import png
from trainer.show.pictures.heat import overlay


def picture(evidence: np.ndarray, size: tuple[int, int], mode: str) -> bytes | None:
    """Returns heat as large as a radiograph, an RGBA PNG; None where there is no evidence.

    Args:
      evidence: of the network's square, [h, w] float.
      size: of the radiograph, (width, height) in pixels.
      mode: how it became the square, see `trainer.data.decode.fit`.
    """
    width, height = size
    if mode == "squash":
        heat = overlay(evidence, width, height)
        return None if heat is None else png(Image.fromarray(heat))
    side = max(size) if mode == "pad" else min(size)
    left, top = (side - width) // 2, (side - height) // 2
    heat = overlay(evidence, side, side)
    if heat is None:
        return None
    return png(Image.fromarray(heat).crop((left, top, left + width, top + height)))
