"""Evidence as a picture to lay over a radiograph."""

import io

import numpy as np
from PIL import Image

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
        return _png(overlay(evidence, width, height))
    side = max(size) if mode == "pad" else min(size)
    left, top = (side - width) // 2, (side - height) // 2
    heat = overlay(evidence, side, side)
    if heat is None:
        return None
    whole = Image.fromarray(heat)
    return _png(np.asarray(whole.crop((left, top, left + width, top + height))))


def _png(pixels: np.ndarray | None) -> bytes | None:
    if pixels is None:
        return None
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()
