"""Labels from a table's cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.data.sources.class_names import order_classes
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN
from trainer.data.sources.table_schema import Schema
from trainer.system.errors import UsageError

POSITIVE_WORDS = ("1", "true", "yes", "positive")
NEGATIVE_WORDS = ("0", "false", "no", "negative")
UNCERTAIN = {"ignore": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}
ALLOWED = "1, 0, -1, blank, true, false, yes, no, positive or negative"
NO_FINDING = "no finding"
MAX_NAMES = 100  # distinct names in a column; with more it is no column of labels


@dataclass
class Labels:
    """The labels of a table's rows.

    Attributes:
      names: the K labels.
      classes: the two classes where K is 1; else ().
      values: for each row POSITIVE, NEGATIVE or UNKNOWN for each label.
      refused: why a row is skipped, by its number.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    values: list[tuple[int, ...]]
    refused: dict[int, str] = field(default_factory=dict)


def read_labels(
    table: str,
    lines: Sequence[int],
    cells: Sequence[tuple[str, ...]],
    *,
    schema: Schema,
    uncertain: str,
) -> Labels:
    """Reads the cells of the label columns of all rows.

    Several columns, or one of values, hold a value for each label. One of names holds the
    findings of an image, separated by "|"; "No Finding" means that all are negative. One with two
    names, and never both, gives two classes.

    Args:
      table: its name, for messages.
      lines: the line of each row, for messages.
      cells: the label cells of each row.
      schema: which columns they are, and what a blank cell means.
      uncertain: what -1 means: "ignore", "positive" or "negative".

    Raises:
      UsageError: if a cell holds something else; the sentence names the line and the column.
    """
    blank = NEGATIVE if schema.blank_is_negative else UNKNOWN
    if len(schema.labels) > 1 or not (schema.findings or _holds_names(cells)):
        meaning: dict[str | int, int]
        meaning = {"": blank, 1: POSITIVE, 0: NEGATIVE, -1: UNCERTAIN[uncertain]}
        values = _values(table, lines, cells, columns=schema.labels, meaning=meaning)
        return Labels(schema.labels, _classes(schema.labels), values)
    column = [row[0] for row in cells]
    distinct = set(column) - {""}
    if len(distinct) == 2 and not schema.findings and not any("|" in cell for cell in distinct):
        return _two_classes(column, order_classes(distinct))
    return _findings(table, lines, column, schema=schema)


def _holds_names(cells: Sequence[tuple[str, ...]]) -> bool:
    words = {row[0].lower() for row in cells} - {""}
    return bool(words) and not any(_is_number(w) or _word(w) is not None for w in words)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _word(cell: str) -> int | None:
    """Returns the value of a lower-case cell, 1, 0 or -1, or None where it is not a value."""
    if cell in POSITIVE_WORDS:
        return 1
    if cell in NEGATIVE_WORDS:
        return 0
    if _is_number(cell) and float(cell) in (-1.0, 0.0, 1.0):
        return int(float(cell))
    return None


def _values(
    table: str,
    lines: Sequence[int],
    cells: Sequence[tuple[str, ...]],
    *,
    columns: tuple[str, ...],
    meaning: dict[str | int, int],
) -> list[tuple[int, ...]]:
    """Returns the labels of each row; `meaning` is of a blank cell and of 1, 0 and -1."""
    meaning = dict(meaning)
    for line, row in zip(lines, cells, strict=True):
        for column, cell in zip(columns, row, strict=True):
            if cell in meaning:
                continue
            value = _word(cell.lower())
            if value is None:
                raise UsageError(
                    f"{table} line {line}, column {column!r} holds {cell[:40]!r}: a label is "
                    f"{ALLOWED}."
                )
            meaning[cell] = meaning[value]
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}  # one tuple for all rows that agree
    rows = (tuple(meaning[cell] for cell in row) for row in cells)
    return [shared.setdefault(row, row) for row in rows]


def _two_classes(column: Sequence[str], classes: list[str]) -> Labels:
    meaning = {"": (UNKNOWN,), classes[0]: (NEGATIVE,), classes[1]: (POSITIVE,)}
    return Labels((classes[1],), tuple(classes), [meaning[cell] for cell in column])


def _findings(table: str, lines: Sequence[int], column: Sequence[str], *, schema: Schema) -> Labels:
    first: dict[str, int] = {}
    for line, cell in zip(lines, column, strict=True):
        first.setdefault(cell, line)
    parts = {cell: [part.strip() for part in cell.split("|")] for cell in first}
    seen = {part for cell in parts.values() for part in cell if part}
    names = schema.findings or tuple(sorted(n for n in seen if n.lower() != NO_FINDING))
    if len(names) > MAX_NAMES or not names:
        raise UsageError(
            f"{table} column {schema.labels[0]!r} holds {len(names)} different names, and 1 to "
            f"{MAX_NAMES} can be labels: choose another with --label_columns."
        )
    for cell, line in first.items():
        for part in parts[cell]:
            if part and part not in names and part.lower() != NO_FINDING:
                raise UsageError(
                    f"{table} line {line}, column {schema.labels[0]!r} holds {part[:40]!r}: a "
                    f"finding is one of {', '.join(names)} or No Finding."
                )
    meaning, contradictory = {}, set()
    for cell in first:
        found = set(parts[cell]) & set(names)
        if found and any(part.lower() == NO_FINDING for part in parts[cell]):
            contradictory.add(cell)
        known = cell or schema.blank_is_negative
        meaning[cell] = tuple(
            POSITIVE if name in found else NEGATIVE if known else UNKNOWN for name in names
        )
    refused = {
        number: "it has findings and also No Finding"
        for number, cell in enumerate(column)
        if cell in contradictory
    }
    return Labels(names, _classes(names), [meaning[cell] for cell in column], refused)


def _classes(names: tuple[str, ...]) -> tuple[str, ...]:
    return (f"no {names[0]}", names[0]) if len(names) == 1 else ()
