"""How values of more than 8 bits become 8."""

import numpy as np
from PIL import Image

from trainer.data.decode.limits import Unreadable

# Numbers of bits that may be in use where 16 are stored.
DEPTHS = (8, 10, 12, 14, 16)
OUTLIERS = 0.005  # share of the values that may be brighter than white, as in `window`
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def upper_bits(values: np.ndarray, declared: int = DEPTHS[-1]) -> np.ndarray:
    """Returns the upper 8 of the bits in use, uint8.

    These are as many as are declared. Where that is 16, they are the fewest of `DEPTHS` that hold
    all but `OUTLIERS` of the values; the largest value does not count either: it is a marker's, or
    what surrounds the radiograph. What they do not hold is white.

    Args:
      values: integers of any shape.
      declared: number of bits that their file says are in use.

    Raises:
      Unreadable: if they do not fit into 16 bits.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 1 << DEPTHS[-1]:
        raise Unreadable(f"grey values from {low} to {high}, not 16 bits")
    if declared < 8:
        return _scaled(values, declared)
    if declared >= DEPTHS[-1]:
        most = OUTLIERS * values.size
        declared = next(d for d in DEPTHS if _between(values, 1 << d, high) <= most)
    return np.minimum(values >> (declared - 8), 255).astype(np.uint8)


def eight_bits(values: np.ndarray, declared: int = DEPTHS[-1]) -> Image.Image:
    """Returns an image of the upper 8 bits: the colours' together, see `upper_bits`.

    Args:
      values: [H, W] grey or [H, W, C], C of `MODES`, uint8 or up to 16 bits.
      declared: see `upper_bits`.

    Raises:
      Unreadable: if there are more components, or more bits.
    """
    if values.ndim == 2:
        values = values[..., None]
    components = values.shape[-1]
    if components not in MODES:
        raise Unreadable(f"{components} components; grey or RGB are allowed")
    if values.dtype != np.uint8 or declared < 8:
        alpha = 1 - components % 2
        colours = upper_bits(values[..., : components - alpha], declared)
        opacity = _scaled(values[..., components - alpha :], declared)
        values = np.concatenate([colours, opacity], axis=-1)
    return Image.fromarray(values[..., 0] if components == 1 else values, MODES[components])


def _scaled(values: np.ndarray, bits: int) -> np.ndarray:
    return (values.astype(np.uint32) * 255 // ((1 << bits) - 1)).astype(np.uint8)


def _between(values: np.ndarray, low: int, high: int) -> int:
    return int(np.count_nonzero((values >= low) & (values < high)))
