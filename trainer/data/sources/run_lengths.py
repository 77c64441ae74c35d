"""Run lengths of masks as labels: an image with a mask has the finding."""

import re
from collections.abc import Sequence

RUNS = re.compile(r"\d+ \d+(?: \d+ \d+)*")  # SIIM-ACR Pneumothorax: start and length of each
NO_MASK = re.compile(r"-1(?:\.0)?")


def as_values(
    cells: Sequence[tuple[str, ...]], columns: Sequence[str]
) -> tuple[Sequence[tuple[str, ...]], list[str]]:
    """Returns the cells with 1 for a mask and 0 for -1 where one column holds run lengths.

    Args:
      cells: the label cells of each row.
      columns: their names.

    Returns:
      The cells, and a line on what was understood; the cells as they are in any other column.
    """
    if len(columns) != 1 or not any(RUNS.fullmatch(row[0]) for row in cells):
        return cells, []
    name = columns[0]
    note = f"column {name!r} holds the run lengths of masks: 1 with a mask, 0 without (-1)"
    return [(_value(row[0]),) for row in cells], [note]


def _value(cell: str) -> str:
    if RUNS.fullmatch(cell):
        return "1"
    return "0" if NO_MASK.fullmatch(cell) else cell
