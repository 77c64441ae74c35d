"""A CSV file, read a few columns at a time."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence

from etils import epath

from trainer.system.errors import UsageError

DELIMITERS = ",;\t"


class CsvTable:
    """A table with a header line: UTF-8 with or without a byte-order mark, any line ends.

    Attributes:
      columns: the names in its header, stripped of spaces.
      digest: SHA-256 of the file.
    """

    def __init__(self, path: epath.Path):
        self.name = str(path)
        content = path.read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()
        try:
            self._text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text: save the table as CSV in UTF-8.") from None
        first = self._text.partition("\n")[0]
        self._delimiter = max(DELIMITERS, key=first.count)
        header = next(self._lines(), (0, []))[1]
        self.columns = tuple(cell.strip() for cell in header)
        if len([name for name in self.columns if name]) < 2:
            raise UsageError(f"{path} has no header with two columns or more in its first line.")

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yields (line, cells of the named columns, stripped) of each row that is not blank.

        Raises:
          UsageError: if a row has fewer or more cells than the header.
        """
        for name in columns:
            if self.columns.count(name) > 1:
                raise UsageError(f"{self.name} has two columns {name!r}: rename one of them.")
        chosen = [self.columns.index(name) for name in columns]
        width = len(self.columns)
        lines = self._lines()
        next(lines)
        for line, cells in lines:
            if len(cells) != width:
                if not any(cells):
                    continue
                if len(cells) < width or any(cells[width:]):
                    raise UsageError(
                        f"{self.name} line {line} has {len(cells)} cells where the header has "
                        f"{width}: quote cells that hold the delimiter {self._delimiter!r}."
                    )
            yield line, tuple(cells[index].strip() for index in chosen)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error as damage:
            where = f"{self.name} line {reader.line_num}"
            raise UsageError(f"{where} is not valid CSV: {damage}.") from None
