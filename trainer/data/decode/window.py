"""The shades in which a viewer shows the stored values of a DICOM radiograph."""

import numpy as np
from pydicom import FileDataset

from trainer.data.decode import lut
from trainer.data.decode.limits import Unreadable

# Percentiles of the pixels that become black and white where the file has no window.
PERCENTILES = (0.5, 99.5)
BLOCK = 2**22  # pixels counted at a time
SMALLEST_RANGE = 1e-9  # of rescaled values


def shades(stored: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Turns stored values into what a viewer shows.

    The Modality LUT or the rescale comes first, then the VOI LUT or the first window (LINEAR,
    LINEAR_EXACT or SIGMOID), DICOM PS3.3 C.11. Where the file has neither, its window is no number
    ("550,5"), or it shows none of the pixels, 0.5 % of them become black and 0.5 % white. The
    lowest value of MONOCHROME2 is black; MONOCHROME1 and the presentation shape INVERSE, which say
    the same, are inverted. Padding has no part in the window and is black.

    Args:
      stored: values as they are stored, [H, W], integers of up to 16 bits.
      dataset: with the attributes that define how they are shown.

    Returns:
      Grey values, [H, W] uint8.

    Raises:
      Unreadable: if there is nothing but padding, or a rescale leaves no differences.
    """
    # Every value that occurs goes through the LUTs once, and not every pixel.
    low, high = int(stored.min()), int(stored.max())
    places = np.subtract(stored, low, dtype=np.int32)
    counts = np.zeros(high - low + 1, np.int64)
    for block in np.array_split(places, -(-places.size // BLOCK)):
        counts += np.bincount(block.ravel(), minlength=counts.size)
    values = np.arange(low, high + 1)
    padding = _padding(values, dataset)
    counts[padding] = 0
    values = _modality_values(values, dataset)
    _check_rescaled(values[counts > 0])
    shown = _windowed(values, counts, dataset)
    if (
        dataset.PhotometricInterpretation == "MONOCHROME1"
        or dataset.get("PresentationLUTShape") == "INVERSE"
    ):
        shown = 1 - shown
    shown = np.rint(shown * 255).astype(np.uint8)
    shown[padding] = 0
    return shown[places]


def _check_rescaled(values: np.ndarray) -> None:
    """Raises Unreadable if different stored values have become infinite, NaN or equal."""
    if not np.isfinite(values).all():
        raise Unreadable("damaged: rescaled values are not finite")
    if len(values) > 1 and np.ptp(values) < SMALLEST_RANGE:
        raise Unreadable(f"damaged: the rescale makes every value {values[0]:g}")


def _padding(values: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Returns which of the stored values are padding, [N] bool."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, bool)
    last = dataset.get("PixelPaddingRangeLimit")
    first, last = sorted((first, first if last is None else last))
    return (values >= first) & (values <= last)


def _windowed(values: np.ndarray, counts: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Returns the shade of each of the values, [N] from 0 (black) to 1 (white)."""
    present = counts > 0
    if not present.any():
        raise Unreadable("nothing but padding")
    declared = _declared_window(values, dataset)
    if declared is not None and np.isfinite(declared).all():
        shown = declared[present]
        if len(shown) == 1 or shown.min() < shown.max():
            return declared
    order = np.argsort(values)
    shares = np.cumsum(counts[order]) / counts.sum()
    black, white = values[order][np.searchsorted(shares, np.array(PERCENTILES) / 100)]
    if black == white:
        black, white = values[present].min(), values[present].max()
    return np.clip((values - black) / max(white - black, 1e-9), 0, 1)


def _modality_values(values: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Returns what the stored values mean (PS3.3 C.11.1), [N] float64."""
    if table := lut.find(dataset, "ModalityLUTSequence"):
        return lut.apply(table, values, dataset)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    values = values * (1.0 if slope is None else float(slope))
    return values + (0.0 if intercept is None else float(intercept))


def _declared_window(values: np.ndarray, dataset: FileDataset) -> np.ndarray | None:
    """Returns the shades of the file's own LUT or window (PS3.3 C.11.2.1), None without one."""
    if table := lut.find(dataset, "VOILUTSequence"):
        # Files declare 16 bits and fill 12: white is the largest entry.
        return lut.apply(table, values, dataset) / max(lut.entries(table, dataset).max(), 1)
    centre, width = _first_number(dataset, "WindowCenter"), _first_number(dataset, "WindowWidth")
    if centre is None or width is None:
        return None
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "LINEAR" and width >= 1:  # C.11.2.1.2.1
        if width == 1:
            return (values > centre - 0.5).astype(np.float64)
        return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR_EXACT" and width > 0:  # C.11.2.1.3.2
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if function == "SIGMOID" and width > 0:  # C.11.2.1.3.1
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    return None


def _first_number(dataset: FileDataset, name: str) -> float | None:
    try:
        value = dataset.get(name)
        return None if value is None else float(np.atleast_1d(value)[0])
    except (ValueError, TypeError, IndexError):
        return None
