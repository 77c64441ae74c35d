"""Other names for labels, as `--map_labels` gives them: renamed, merged, or left out."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from etils import epath

from trainer.data.sources.class_names import one_spelling, spelling
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN
from trainer.system.errors import UsageError


@dataclass(frozen=True)
class LabelMap:
    """New names for labels, of which several may get one and those with "" are left out.

    Attributes:
      given: what the user wrote, for messages.
      new_names: by the `spelling` of the old name.
    """

    given: str = ""
    new_names: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        """Returns the new name of a label, or its own."""
        return self.new_names.get(spelling(name), name)

    def grouped(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Returns for each new name the places of the old ones, without those left out.

        Raises:
          UsageError: if the map has a name that is none of them.
        """
        self.check(names)
        groups: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            if new := self(name):
                groups.setdefault(new, []).append(number)
        return groups

    def check(self, names: Iterable[str]) -> None:
        """Raises UsageError if the map has a name that is none of `names`."""
        names = list(names)
        known = {spelling(name) for name in names}
        for old in self.new_names:
            if old not in known:
                raise UsageError(
                    f"--map_labels={self.given} renames {old!r}, which is no label: they are "
                    f"{', '.join(sorted(names)[:20])}."
                )


def read_map(given: str) -> LabelMap:
    """Returns the map that `--map_labels` means: "old=new,older=new", or a CSV file of old,new.

    Raises:
      UsageError: if it is neither, or gives one label two names.
    """
    pairs = [part.split("=", 1) for part in given.split(",") if part.strip()]
    if not given or "=" not in given:
        pairs = list(_pairs_of_file(given)) if given else []
    new_names: dict[str, str] = {}
    for pair in pairs:
        if len(pair) != 2 or not pair[0].strip():
            raise UsageError(
                f"--map_labels={given}: give old=new,older=new, or a file with old,new a line."
            )
        old, new = (unicodedata.normalize("NFC", part).strip() for part in pair)
        if new_names.setdefault(spelling(old), new) != new:
            raise UsageError(f"--map_labels={given} gives {old!r} two new names: leave one out.")
    return LabelMap(given, new_names)


def _pairs_of_file(given: str) -> Iterable[list[str]]:
    file = epath.Path(given)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"--map_labels={given} is no text file that can be read, and no old=new,older=new."
        ) from None
    separator = "," if "," in text else "="
    for cells in csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=separator):
        if any(cell.strip() for cell in cells) and [c.strip().lower() for c in cells] != [
            "old",
            "new",
        ]:
            yield cells


def merged(
    names: Sequence[str], values: Sequence[tuple[int, ...]], label_map: LabelMap
) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    """Returns the labels under their new names, and the values of each row.

    Of labels that get one name, one that is positive makes it positive, else one that is not known
    makes it unknown.

    Args:
      names: the K labels.
      values: K values of each row.
      label_map: the new names.

    Raises:
      UsageError: if the map has a name that is none of `names`, or leaves none.
    """
    groups = label_map.grouped(names)
    if not groups:
        raise UsageError(f"--map_labels={label_map.given} leaves no label: leave fewer out.")
    rows = {row: tuple(_either(row, group) for group in groups.values()) for row in set(values)}
    return tuple(groups), [rows[row] for row in values]


def renamed_cells(
    names_of: Mapping[str, tuple[str, ...]],
    cells: Iterable[str],
    label_map: LabelMap,
    *,
    known: Iterable[str] = (),
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Returns the names in each cell in one spelling and under their new names.

    Args:
      names_of: the names that a cell holds.
      cells: of all rows, to count spellings.
      label_map: the new names; those with "" are left out of a cell.
      known: names whose spelling counts, however often it occurs.

    Returns:
      The names of each cell, and a line on each name that is written in several ways.
    """
    counts = Counter(name for cell in cells for name in names_of[cell])
    written = one_spelling(counts | dict.fromkeys(known, counts.total() + 1))
    label_map.check(written.values())
    lines = [
        f"{' and '.join(repr(old) for old in sorted(found))} are one label, {new}"
        for new, found in spellings({name: written[name] for name in counts}).items()
    ]
    renamed = {
        cell: tuple(dict.fromkeys(new for name in names if (new := label_map(written[name]))))
        for cell, names in names_of.items()
    }
    return renamed, lines


def spellings(written: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the names that are written in several ways, each with its spellings.

    Args:
      written: the one spelling of each name.
    """
    found: dict[str, list[str]] = {}
    for old, new in written.items():
        found.setdefault(new, []).append(old)
    return {new: old for new, old in found.items() if len(old) > 1}


def _either(row: tuple[int, ...], places: Sequence[int]) -> int:
    values = {row[place] for place in places}
    return next((value for value in (POSITIVE, UNKNOWN) if value in values), NEGATIVE)
