"""A CSV file, read a few columns at a time."""

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator, Sequence

from etils import epath

from trainer.data.sources.image_files import SUFFIXES as IMAGE_SUFFIXES
from trainer.system.errors import UsageError

DELIMITERS = ",;\t"
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")  # beside the delimiter ";"
SEPARATOR_LINE = "sep="  # a first line by which spreadsheets name the delimiter
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MOST_BYTES = 4 * 2**30  # of a compressed table


class CsvTable:
    """A table with a header line: UTF-8 with or without a byte-order mark, any line ends.

    Attributes:
      columns: the names in its header, stripped of spaces.
      digest: SHA-256 of the file.
    """

    def __init__(self, path: epath.Path, encoding: str = ""):
        """Reads the file, which may be compressed (.gz).

        Args:
          path: of the file.
          encoding: of its text; "" for UTF-8, or UTF-16 where it begins with its mark.

        Raises:
          UsageError: if it is not such text, or has no header.
        """
        self.name = str(path)
        content = path.read_bytes()
        self.digest = hashlib.sha256(content).hexdigest()
        if content.startswith(GZIP) or self.name.lower().endswith(".gz"):
            content = _decompressed(content, self.name)
        if content.startswith(ZIP):
            raise UsageError(f"{path} is a zip archive or a spreadsheet, no table: save it as CSV.")
        self._text = _decoded(content, self.name, encoding)
        self._first_line = 1
        first, _, rest = self._text.partition("\n")
        if first.lower().startswith(SEPARATOR_LINE) and len(first.rstrip("\r")) == 5:
            self._delimiter, self._text, self._first_line = first[4], rest, 2
        else:
            self._delimiter = max(DELIMITERS, key=first.count)
        self._delimiters = self._text.partition("\n")[0].count(self._delimiter)  # of a row
        header = next(self._lines(), (0, []))[1]
        self.columns = tuple(cell.strip() for cell in header)
        if len([name for name in self.columns if name]) < 2:
            raise UsageError(
                f"{path} has no header with two columns or more in its first line: it begins with "
                "the names of the columns, separated by commas, semicolons or tabs."
            )
        for cell in self.columns:
            if cell.lower().endswith(IMAGE_SUFFIXES):
                raise UsageError(
                    f"{path} line {self._first_line} holds {cell[:60]!r} where the names of the "
                    "columns belong: add a line with them above it."
                )

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
                    raise UsageError(self._wrong_width(line, len(cells)))
            if tuple(cell.strip() for cell in cells) == self.columns:
                raise UsageError(f"{self.name} line {line} repeats the header: remove that line.")
            yield line, tuple(self._cell(cells[index]) for index in chosen)

    def _cell(self, cell: str) -> str:
        cell = cell.strip()
        if self._delimiter == ";" and DECIMAL_COMMA.fullmatch(cell):
            return cell.replace(",", ".")
        return cell

    def _wrong_width(self, line: int, found: int) -> str:
        width = len(self.columns)
        if {len(cells) for number, cells in self._lines() if number > self._first_line} == {found}:
            return (
                f"{self.name} line {self._first_line}, the header, names {width} columns, and "
                f"every row has {found} cells: correct the header."
            )
        return (
            f"{self.name} line {line} has {found} cells where the header has {width}: quote cells "
            f"that hold the delimiter {self._delimiter!r}."
        )

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yields the line in which each record begins, and its cells."""
        record: list[str] = []  # its lines so far

        def remembered() -> Iterator[str]:
            for line in io.StringIO(self._text, newline=""):
                record.append(line)
                yield line

        start = self._first_line
        try:
            for cells in csv.reader(remembered(), delimiter=self._delimiter, strict=True):
                if len(record) > 1 and all(map(self._is_a_row, record[1:])):
                    raise csv.Error("it goes on over whole rows")
                yield start, cells
                start += len(record)
                record.clear()
        except csv.Error as damage:
            raise UsageError(
                f"{self.name} line {start} is not valid CSV ({damage}): a quotation mark there is "
                "not closed, or not doubled inside a quoted cell; close it or remove it."
            ) from None

    def _is_a_row(self, line: str) -> bool:
        """Returns whether a line looks like a row of its own, not like a part of a quoted text."""
        in_prose = f"{self._delimiter} " in line
        return line.count(self._delimiter) == self._delimiters and not in_prose


def _decompressed(content: bytes, name: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            plain = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as damage:
        raise UsageError(f"{name} cannot be decompressed ({damage}): download it again.") from None
    if len(plain) > MOST_BYTES:
        raise UsageError(f"{name} holds more than {MOST_BYTES // 2**30} GiB: no table is so large.")
    return plain


def _decoded(content: bytes, name: str, encoding: str) -> str:
    try:
        text = content.decode(encoding or BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig"))
    except LookupError:
        raise UsageError(
            f"--encoding={encoding} is no encoding: give one such as windows-1252, latin-1 or "
            "utf-16."
        ) from None
    except UnicodeDecodeError as damage:
        line = content.count(b"\n", 0, damage.start) + 1
        where = f"{name} line {line} is not {damage.encoding.upper()} text (byte {damage.start})"
        if encoding:
            raise UsageError(f"{where}: give another --encoding.") from None
        new = f"{name.rpartition('.')[0]}-utf8.csv"
        raise UsageError(
            f"{where}: if a spreadsheet on Windows wrote it, give --encoding=windows-1252, or "
            f"convert it with `iconv -f WINDOWS-1252 -t UTF-8 {name} > {new}`."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        order = "be" if text.startswith("\0") else "le"
        raise UsageError(
            f"{name} line {line} holds a byte 0, which text does not: if it is UTF-16, give "
            f"--encoding=utf-16-{order}, else save it as CSV again."
        )
    return text
