"""Labels from a table's cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from trainer.data.sources import findings, label_map, run_lengths
from trainer.data.sources.class_names import order_classes
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN
from trainer.data.sources.table_schema import Schema
from trainer.system.errors import UsageError

POSITIVE_WORDS = ("1", "true", "t", "yes", "y", "positive", "pos", "present", "+")
NEGATIVE_WORDS = ("0", "false", "f", "no", "n", "negative", "neg", "absent", "-")
UNCERTAIN = {"ignore": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}
ALLOWED = "1, 0, -1, blank, true, false, yes, no, +, -, present, absent, positive or negative"
BOOLEANS = ("true", "false", "yes", "no")
MAX_NAMES = 250  # distinct names in a column; with more it is no column of labels


@dataclass
class Labels:
    """The labels of a table's rows.

    Attributes:
      names: the K labels.
      classes: the two classes where K is 1; else ().
      values: for each row POSITIVE, NEGATIVE or UNKNOWN for each label.
      refused: why a row is skipped, by its number.
      left_out: why a row is left out, since its cell names no finding, by its number.
      notes: what was understood, a line each.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    values: list[tuple[int, ...]]
    refused: dict[int, str] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_labels(
    table: str,
    lines: Sequence[int],
    cells: Sequence[tuple[str, ...]],
    *,
    schema: Schema,
    uncertain: str,
    separator: str = "",
    positive: str = "",
    map_labels: str = "",
) -> Labels:
    """Reads the cells of the label columns of all rows.

    Several columns, or one of values, hold a value for each label. One of names holds the
    findings of an image, see `findings.names_in`; "No Finding" means that all are negative. One
    with two names, and never both, gives two classes.

    Args:
      table: its name, for messages.
      lines: the line of each row, for messages.
      cells: the label cells of each row.
      schema: which columns they are, and what a blank cell means.
      uncertain: what -1 means: "ignore", "positive" or "negative".
      separator: see `findings.names_in`.
      positive: of two named classes, the finding; see `class_names.order_classes`.
      map_labels: new names of labels; see `label_map.read_map`.

    Raises:
      UsageError: if a cell holds something else; the sentence names the line and the column.
    """
    new_names = label_map.read_map(map_labels)
    cells, notes = run_lengths.as_values(cells, schema.labels)
    blank = NEGATIVE if schema.blank_is_negative else UNKNOWN
    if len(schema.labels) > 1 or not (schema.findings or _holds_names(cells)):
        meaning: dict[str | int, int]
        meaning = {"": blank, 1: POSITIVE, 0: NEGATIVE, -1: UNCERTAIN[uncertain]}
        values = _values(table, lines, cells, columns=schema.labels, meaning=meaning)
        names, values = label_map.merged(schema.labels, values, new_names)
        if positive:
            raise UsageError(
                f"--positive={positive} is for a column of names, and {table} has columns of "
                "values: leave it out."
            )
        return Labels(names, _classes(names), values, notes=tuple(notes))
    column = ["" if row[0].lower() in findings.MISSING else row[0] for row in cells]
    names_of, found = findings.names_in(
        dict.fromkeys(column),
        separator=separator or schema.separator,
        where=f"{table} column {schema.labels[0]!r}",
    )
    several = any(len(names) > 1 or "".join(names) != cell for cell, names in names_of.items())
    names_of, notes = label_map.renamed_cells(names_of, column, new_names, known=schema.findings)
    if schema.findings:
        kept = dict.fromkeys(new for name in schema.findings if (new := new_names(name)))
        schema = replace(schema, findings=tuple(kept))
    two = not (schema.findings or schema.reader or several)
    labels = _labels(
        table, lines, column, schema=schema, names_of=names_of, positive=positive if two else None
    )
    labels.notes += tuple(notes)
    if found:
        name, spelt = schema.labels[0], " and ".join(repr(one) for one in found)
        labels.notes += (f"column {name!r}: {spelt} separates findings (--separator=none: not)",)
    return labels


def _labels(
    table: str,
    lines: Sequence[int],
    column: Sequence[str],
    *,
    schema: Schema,
    names_of: Mapping[str, tuple[str, ...]],
    positive: str | None,
) -> Labels:
    """Returns the labels of a column of names; `positive` is None where they are no two classes."""
    no_names = {
        cell
        for cell, names in names_of.items()
        if cell and all(name.lower() in findings.NO_NAMES for name in names)
    }
    distinct = {name for cell, names in names_of.items() if cell not in no_names for name in names}
    if positive or (positive is not None and len(distinct) == 2):
        labels = _two_classes(column, names_of, order_classes(distinct, positive))
    else:
        labels = _findings(table, lines, column, schema=schema, names_of=names_of)
    for number, cell in enumerate(column):
        if cell in no_names:
            labels.left_out[number] = f"{cell[:40]!r} is no finding"
    return labels


def _holds_names(cells: Sequence[tuple[str, ...]]) -> bool:
    words = {row[0].lower() for row in cells} - {"", *findings.MISSING}
    if any(_is_number(word) or word in BOOLEANS for word in words):
        return False
    return any(word_value(word) is None and word not in findings.NO_NAMES for word in words)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def word_value(cell: str) -> int | None:
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
            if cell.lower() in findings.MISSING:
                meaning[cell] = meaning[""]
                continue
            value = word_value(cell.lower())
            if value is None:
                raise UsageError(
                    f"{table} line {line}, column {column!r} holds {cell[:40]!r}: a label is "
                    f"{ALLOWED}; grades and classes need names in place of numbers."
                )
            meaning[cell] = meaning[value]
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}  # one tuple for all rows that agree
    rows = (tuple(meaning[cell] for cell in row) for row in cells)
    return [shared.setdefault(row, row) for row in rows]


def _two_classes(
    column: Sequence[str], names_of: Mapping[str, tuple[str, ...]], classes: list[str]
) -> Labels:
    value_of: dict[tuple[str, ...], int]
    value_of = {(): UNKNOWN, (classes[0],): NEGATIVE, (classes[1],): POSITIVE}
    values: list[tuple[int, ...]] = [(value_of.get(names_of[cell], UNKNOWN),) for cell in column]
    return Labels((classes[1],), tuple(classes), values)


def _findings(
    table: str,
    lines: Sequence[int],
    column: Sequence[str],
    *,
    schema: Schema,
    names_of: Mapping[str, tuple[str, ...]],
) -> Labels:
    several = any(len(names) > 1 for names in names_of.values())
    healthy = (*findings.NO_FINDING, *(findings.HEALTHY if several else ()))
    seen = {name for names in names_of.values() for name in names}
    no_labels = {name for name in seen if name.lower() in (*healthy, *findings.NO_NAMES)}
    labels = schema.findings or tuple(sorted(seen - no_labels))
    if len(labels) > MAX_NAMES or not labels:
        raise UsageError(
            f"{table} column {schema.labels[0]!r} holds {len(labels)} different names, and 1 to "
            f"{MAX_NAMES} can be labels: choose another with --label_columns."
        )
    first = dict(zip(reversed(column), reversed(lines), strict=True))
    meaning, contradictory = {}, set()
    for cell, names in names_of.items():
        for name in names:
            if name not in labels and name not in no_labels:
                raise UsageError(
                    f"{table} line {first[cell]}, column {schema.labels[0]!r} holds "
                    f"{name[:40]!r}: a finding is one of {', '.join(labels)} or No Finding."
                )
        found = set(names) & set(labels)
        if found and any(name.lower() in healthy for name in names):
            contradictory.add(cell)
        known = cell or schema.blank_is_negative
        meaning[cell] = tuple(
            POSITIVE if name in found else NEGATIVE if known else UNKNOWN for name in labels
        )
    refused = {
        number: "it has findings and also No Finding"
        for number, cell in enumerate(column)
        if cell in contradictory
    }
    return Labels(labels, _classes(labels), [meaning[cell] for cell in column], refused)


def _classes(names: tuple[str, ...]) -> tuple[str, ...]:
    return (f"no {names[0]}", names[0]) if len(names) == 1 else ()
