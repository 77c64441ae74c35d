"""A radiograph as it was sent, decoded as those of training were, in a process of its own.

Nothing here needs TensorFlow, so that these processes start without it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from trainer.data.decode import fit, limits, recode
from trainer.data.prepare.ingest import DecodeOptions
from trainer.judge import input_files


@dataclass(frozen=True)
class SentFile:
    """A file of a request.

    Attributes:
      data: its bytes.
      picture: whether its image is to come back.
    """

    data: bytes
    picture: bool


@dataclass(frozen=True)
class DecodedRadiograph:
    """A file on its way to the network.

    Attributes:
      images: for each fit, [S, S, 1] uint8; none where there is a reason.
      size: of the image that preparation would store, (width, height) in pixels.
      picture: that image as PNG, if it was asked for; else b"".
      group: of reasons, where there is one, as in `trainer.judge.input_files`.
      reason: why it cannot be predicted, in a few words; or "".
    """

    images: tuple[np.ndarray, ...] = ()
    size: tuple[int, int] = (0, 0)
    picture: bytes = b""
    group: str = ""
    reason: str = ""


def decode(
    options: DecodeOptions, fits: Sequence[tuple[int, str]], sent: SentFile
) -> DecodedRadiograph:
    """Returns one file decoded, or the reason why not."""
    try:
        stored = recode.stored_image(
            sent.data, options.max_side, options.any_view, uniform=options.uniform
        )
    except limits.Unreadable as error:
        return DecodedRadiograph(group=input_files.group(error), reason=str(error))
    images = tuple(fit.fit(stored, *each) for each in fits)
    return DecodedRadiograph(images, stored.size, png(stored) if sent.picture else b"")


def png(image: Image.Image) -> bytes:
    """Returns a picture as a PNG that is quickly written."""
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()
