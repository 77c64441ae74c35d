"""A table with the columns of others, joined by the columns that they share."""

from collections.abc import Iterator, Sequence

from trainer.data.sources import files
from trainer.data.sources.csv_table import CsvTable
from trainer.system.errors import UsageError


class JoinedTable:
    """The rows of a first table, each with the cells of the rows that others have for it.

    Attributes:
      name: of the first.
      columns: the first's, then the others' that are new.
      digest: changes with any of them.
      unmatched: by the line of a row, the table that has no row for it; known once `rows` was read.
    """

    def __init__(self, first: CsvTable, others: Sequence[CsvTable]):
        """Joins tables.

        Raises:
          UsageError: if one shares no column with the first.
        """
        self.name, self._first, self._others = first.name, first, tuple(others)
        self.digest = (
            files.digest(table.digest for table in (first, *others)) if others else first.digest
        )
        self.columns, self._keys, self._own = first.columns, [], []
        for other in others:
            key = [name for name in other.columns if name and name in first.columns]
            if not key:
                raise UsageError(
                    f"--join={other.name} shares no column with {first.name}, which has "
                    f"{', '.join(filter(None, first.columns))}: rename the column of the key."
                )
            new = [name for name in other.columns if name and name not in self.columns]
            self._keys.append(key)
            self._own.append(new)
            self.columns += tuple(new)
        self.unmatched: dict[int, str] = {}

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yields (line, cells of the named columns) as `CsvTable.rows`; cells of no row are blank.

        Raises:
          UsageError: if a joined table has two different rows for one, or as `CsvTable.rows`.
        """
        joined = []
        for other, key, own in zip(self._others, self._keys, self._own, strict=True):
            wanted = [name for name in own if name in columns]
            if wanted:
                joined.append((other.name, key, wanted, _by_key(other, key, wanted)))
        of_first = list(dict.fromkeys(name for name in columns if name in self._first.columns))
        of_first += [k for _, key, _, _ in joined for k in key if k not in of_first]
        self.unmatched.clear()
        rows = 0
        for line, row in self._first.rows(list(dict.fromkeys(of_first))):
            cells = dict(zip(dict.fromkeys(of_first), row, strict=True))
            for name, key, wanted, found in joined:
                own_cells = found.get(tuple(cells[k] for k in key))
                if own_cells is None:
                    self.unmatched.setdefault(line, name)
                cells |= dict(zip(wanted, own_cells or [""] * len(wanted), strict=True))
            rows += 1
            yield line, tuple(cells[name] for name in columns)
        for name, key, _, found in joined:
            if rows and found and list(self.unmatched.values()).count(name) == rows:
                raise UsageError(
                    f"--join={name} has no row for any row of {self.name}: its {', '.join(key)} is "
                    f"written otherwise, as {', '.join(next(iter(found)))}."
                )


def _by_key(
    table: CsvTable, key: Sequence[str], columns: Sequence[str]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line, row in table.rows([*key, *columns]):
        cells = row[len(key) :]
        if found.setdefault(row[: len(key)], cells) != cells:
            values = ", ".join(row[: len(key)])
            raise UsageError(
                f"{table.name} line {line} differs from an earlier row of the same "
                f"{', '.join(key)} ({values}): a joined table has one row for each, so give one "
                "with a row an image as --source and join the others to it."
            )
    return found
