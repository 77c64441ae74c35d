"""Run lengths of masks as labels: an image with a mask has the finding."""

import re
from collections.abc import Sequence

from trainer.data.sources import findings

_RUN = r"\d+ [1-9]\d*"
RUNS = re.compile(f"{_RUN}(?: {_RUN})*")  # SIIM-ACR Pneumothorax: start and length of each
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
    different = {row[0] for row in cells} if len(columns) == 1 else set()
    masks = {cell for cell in different if RUNS.fullmatch(cell)}
    others = {cell for cell in different - masks if cell.lower() not in ("", *findings.MISSING)}
    if not masks or not all(map(NO_MASK.fullmatch, others)):
        return cells, []
    name = columns[0]
    note = f"column {name!r} holds the run lengths of masks: 1 with a mask, 0 without (-1)"
    return [(_value(row[0]),) for row in cells], [note]


def _value(cell: str) -> str:
    if RUNS.fullmatch(cell):
        return "1"
    return "0" if NO_MASK.fullmatch(cell) else cell
