"""Columns of a table, and tags of DICOM files, that are kept as metadata of each image."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from trainer.data.sources import patients
from trainer.system.errors import UsageError
from trainer.system.printable import printable

if TYPE_CHECKING:
    from trainer.data.decode import dicom

LEAST_ROWS, MOST_DIFFERENT = 20, 0.9  # from which on a column tells its rows apart,
LONG = 6  # if one of its values has so many letters, which no age has
DICOM = ("sex", "age", "view", "modality", "manufacturer")  # fields of `dicom.Header`


class KeptColumns:
    """Which columns are kept, and their values of each image; "" is not known.

    Attributes:
      names: under which they are stored.
      of_table: the table's columns among them.
    """

    def __init__(self, given: Sequence[str], columns: Sequence[str], source: str):
        """Finds the columns.

        Args:
          given: as the user gave them, each COLUMN or COLUMN=NAME to store it as NAME.
          columns: of the table; () where there is none.
          source: its name, for messages.

        Raises:
          UsageError: if there is no such column, or two have one name.
        """
        found: dict[str, str] = {}
        for item in given:
            column, _, name = (item, "", "") if item in columns else item.partition("=")
            column, name = column.strip(), printable(name.strip() or column.strip())
            if not name or name in found:
                raise UsageError(
                    f"--keep_columns={','.join(given)} gives the name {name!r} twice or none: "
                    "give COLUMN or COLUMN=NAME, with each name once."
                )
            found[name] = column
        self.names = tuple(found)
        self.of_table = [column for column in found.values() if column in columns]
        self._columns, self._all, self._source = tuple(found.values()), columns, source

    def check(
        self,
        *,
        has_dicom: bool,
        identifying: Collection[str] = (),
        rows: Sequence[tuple[str, ...]] = (),
    ) -> None:
        """Refuses what is no column, and what names patients or files that have to be hashed.

        Args:
          has_dicom: whether there are DICOM files, whose tags can be kept.
          identifying: the columns of patients and files.
          rows: the values of each row of the table.

        Raises:
          UsageError: with the columns that there are.
        """
        tags = DICOM if has_dicom else ()
        there = ", ".join(dict.fromkeys(filter(None, (*self._all, *tags))))
        for place, column in enumerate(self._columns):
            if column not in (*self._all, *tags):
                raise UsageError(
                    f"--keep_columns={column}: --source={self._source} has no such column"
                    + (f"; it has {there}." if there else ", as it is no table and no DICOM files.")
                )
            cells = [row[place] for row in rows if row[place]]
            if has_dicom and (column in identifying or _names_each(cells)):
                raise UsageError(
                    f"--keep_columns={column} tells single patients or files apart, and those of "
                    "DICOM files are stored as hashes: leave it out, and give --names_file to join "
                    "by it later."
                )

    def of_row(self, cells: Mapping[str, str]) -> tuple[str, ...]:
        """Returns the values of a row of the table; those of DICOM tags are blank."""
        return tuple(_known(cells.get(column, "")) for column in self._columns)

    def with_header(self, values: Sequence[str], header: "dicom.Header") -> tuple[str, ...]:
        """Returns the values, completed by those of a file's header that no table has."""
        values = values or ("",) * len(self._columns)
        return tuple(
            value if column in self._all else _known(getattr(header, column))
            for column, value in zip(self._columns, values, strict=True)
        )


def agreed(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the values of an image with several rows: "" where these contradict one another."""
    columns = [{value for value in values if value} for values in zip(*rows, strict=True)]
    return tuple(values.pop() if len(values) == 1 else "" for values in columns)


def _names_each(cells: Sequence[str]) -> bool:
    """Returns whether nearly each cell is another long text, such as a number of an examination."""
    is_long = any(len(cell) >= LONG for cell in cells)
    return is_long and len(cells) >= LEAST_ROWS and len({*cells}) > MOST_DIFFERENT * len(cells)


def _known(cell: str) -> str:
    nothing = "".join(cell.lower().split()) in patients.NOBODY
    return "" if nothing else printable(cell)
