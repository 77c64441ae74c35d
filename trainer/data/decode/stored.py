"""Decodes an image as a prepared data set stores it: JPEG or PNG, of grey pixels."""

import imagecodecs
import numpy as np

from trainer.data.decode.codestream import JPEG_START


def decode(file: bytes) -> np.ndarray:
    """Returns the grey values, [H, W] uint8; of a JPEG in colour the luma.

    They are those of Pillow to the last bit, in less time, and other threads go on meanwhile.

    Raises:
      ValueError: if the file is damaged.
    """
    try:
        if file.startswith(JPEG_START):
            return imagecodecs.jpeg8_decode(file, outcolorspace="GRAYSCALE")
        return imagecodecs.png_decode(file)
    except RuntimeError as error:  # of each codec a class of its own
        raise ValueError(str(error)) from error
