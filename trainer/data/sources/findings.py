"""The findings that the cells of one column name, several in a cell or one."""

import re
from collections import Counter
from collections.abc import Collection

from trainer.system.errors import UsageError

WHOLE = "none"  # as --separator: a cell is one name
NO_FINDING = ("no finding", "no findings", "none", "-")
HEALTHY = ("normal", "healthy", "negative")  # as good as that where a cell may hold several names
MISSING = ("nan", "na", "n/a", "<na>", "null")  # as good as blank
NO_NAMES = (
    *("todo", "tbd", "unknown", "uncertain", "unsure", "not sure", "undetermined", "unspecified"),
    *("exclude", "excluded", "missing", "maybe", "?", "??"),
    *("suboptimal study", "unchanged"),  # PadChest: of the picture, and of an earlier one
    *("unlabelled", "unlabeled", "unannotated", "unclassified", "unsorted"),
)
QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
LISTS, HIERARCHY = ",;", "/"
CONJUNCTIONS = ("&", "+", " and ", "\n", "<br>", "\\")  # where all that they join stands alone
NUMBERS = re.compile(r"[\d\s.,;-]*\d[\d\s.,;-]*")
MOST_ALONE = 0.5  # share of the names of lists that stand alone too from which on they are lists


def names_nothing(folder: str) -> bool:
    """Returns whether a folder's images are of no known class by its name: Unlabeled images."""
    words = re.sub(r"[\s_-]+", " ", folder.lower()).strip()
    return re.sub(" (?:images?|data|x ?rays?|set|cases?)$", "", words) in NO_NAMES


def names_in(
    cells: Collection[str], *, separator: str, where: str
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Returns the names in each cell, and what separates them where that was found, not given.

    "|" separates always, and the quotation marks of a Python list, as PadChest has them. "," and
    ";" do where most of what they separate stands alone in other cells; "/" where what comes
    before it does, or comes before several: each level of a hierarchy holds;
    "&", "and" and the like where all that they join does.

    Args:
      cells: all different cells.
      separator: what separates; "" finds it, "none" leaves cells whole.
      where: the table and the column, for messages.

    Raises:
      UsageError: if it is not sure what separates.
    """
    if separator == WHOLE:
        return {cell: tuple(filter(None, [cell])) for cell in cells}, []
    for cell in cells:
        numbers = NUMBERS.fullmatch(cell.strip("[](){}"))
        if numbers and (_is_list(cell) or len(re.findall(r"[\d.]+", cell)) > 1):
            raise UsageError(
                f"{where} holds {cell[:60]!r}, numbers and no names: give a column for each label, "
                "or names in place of them."
            )
    found = [separator] if separator else _separators(cells, where)
    pattern = re.compile("|".join(re.escape(one) for one in ("|", *found)), re.IGNORECASE)
    return {cell: _names(cell, pattern) for cell in cells}, [] if separator else found


def _is_list(cell: str) -> bool:
    return cell.startswith("[") and cell.endswith("]")


def _names(cell: str, pattern: re.Pattern) -> tuple[str, ...]:
    if _is_list(cell):
        quoted = [one or other for one, other in QUOTED.findall(cell)]
        parts = quoted or cell[1:-1].split(",")
    else:
        parts = pattern.split(cell)
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in parts))))


def _separators(cells: Collection[str], where: str) -> list[str]:
    plain = [cell for cell in cells if not _is_list(cell)]
    split = {cell: _split(cell, f"[{LISTS}]") for cell in plain}
    alone = {names[0] for names in split.values() if len(names) == 1}
    found = []
    for separator in (*LISTS, HIERARCHY):
        lists = {cell: names for cell, names in split.items() if separator in cell}
        parts = Counter(part for names in lists.values() for part in set(names))
        share = sum(part in alone for part in parts) / (len(parts) or 1)
        if separator == HIERARCHY:
            first = Counter(name for cell in lists for name in _split(cell, HIERARCHY)[:1])
            if any(name in alone or count > 1 for name, count in first.items()):
                found.append(separator)
        elif share > MOST_ALONE:
            found.append(separator)
        elif lists:
            cell, names = next(iter(sorted(lists.items())))
            raise UsageError(
                f"{where} holds {cell[:60]!r}, and it is not sure whether that is one name or the "
                f"{len(names)} names {', '.join(names)[:80]}: give --separator={separator} for "
                f"several, or --separator={WHOLE} for one."
            )
    lower = [cell.lower() for cell in plain]
    for joint in CONJUNCTIONS:
        joined = {part.strip() for cell in lower if joint in cell for part in cell.split(joint)}
        if joined and joined <= alone:
            found.append(joint)
    return found


def _split(cell: str, separators: str) -> list[str]:
    return [part for part in map(str.strip, re.split(separators, cell.lower())) if part]
