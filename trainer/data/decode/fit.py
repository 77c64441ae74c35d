"""How an image of any shape becomes a square."""

import numpy as np
from PIL import Image, ImageOps

BLACK = 0  # what lies outside of a radiograph's collimation


def fit(image: Image.Image, side: int, mode: str) -> np.ndarray:
    """Resizes a grey image to a square, bilinear and antialiased.

    Args:
      image: grey (Pillow's mode L), of any size.
      side: side of the square, pixels.
      mode: "squash" changes the aspect; "pad" keeps it and the whole image, centred on black;
        "crop" keeps it and the middle, as far as the shorter side reaches.

    Returns:
      Grey values, [side, side, 1] uint8.

    Raises:
      ValueError: if `mode` is none of these.
    """
    square, bilinear = (side, side), Image.Resampling.BILINEAR
    if mode == "squash":
        fitted = image.resize(square, bilinear)
    elif mode == "pad":
        fitted = ImageOps.pad(image, square, bilinear, BLACK)
    elif mode == "crop":
        fitted = ImageOps.fit(image, square, bilinear)
    else:
        raise ValueError(f"an image is fitted by squash, pad or crop, not {mode!r}")
    return np.asarray(fitted)[..., np.newaxis]
