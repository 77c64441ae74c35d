"""Look-up tables of DICOM: the Modality LUT (PS3.3 C.11.1.1) and the VOI LUT (C.11.2.1.1)."""

import numpy as np
from pydicom import Dataset, FileDataset

from trainer.data.decode.limits import Unreadable


def find(dataset: Dataset, sequence: str) -> Dataset | None:
    """Returns the first item of a sequence of LUTs that holds one."""
    for item in dataset.get(sequence) or ():
        descriptor = item.get("LUTDescriptor")
        if descriptor is not None and len(descriptor) == 3 and item.get("LUTData"):
            return item
    return None


def apply(item: Dataset, values: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Returns what a LUT makes of values: below and above its range, its first and last entry.

    Args:
      item: of the sequence.
      values: [N], rounded to the nearest entry.
      dataset: that the item belongs to.

    Returns:
      Entries, [N] float64: differences of unsigned ones would wrap.

    Raises:
      Unreadable: if it has fewer entries than it declares.
    """
    table, first = entries(item, dataset), int(item.LUTDescriptor[1])
    if first >= 2**15 and values.min() < 0:  # a signed number under an unsigned VR
        first -= 2**16
    return table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)]


def entries(item: Dataset, dataset: FileDataset) -> np.ndarray:
    """Returns the entries of a LUT, [N] float64.

    They are words; those of 8 bits may also lie two in a word, the lower byte first.
    """
    count, data = item.LUTDescriptor[0] or 2**16, item.LUTData
    if isinstance(data, bytes):
        words = np.frombuffer(data, "<u2" if dataset.original_encoding[1] else ">u2")
    else:
        words = np.atleast_1d(np.asarray(data, np.int64))
    table = words.astype("<u2")
    if len(table) < count and item.LUTDescriptor[2] == 8:
        table = table.view(np.uint8)
    if len(table) < count:
        raise Unreadable(f"damaged: a LUT of {len(table)} entries, of which {count} are declared")
    return table[:count].astype(np.float64)
