"""Files of predictions, written row by row so that an interrupted prediction can go on.

Rows go to FILE.part, which becomes FILE at the end. Beside it FILE.part.json says of what they
are. Where nothing can be appended, in a bucket or to Parquet, FILE.part is a folder of parts.
"""

import csv
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TextIO

from etils import epath, epy

from trainer.system import atomic, gcs
from trainer.system.errors import UsageError
from trainer.system.printable import FORMULA, printable

with epy.lazy_imports():  # a second, which other files need not wait for
    import pyarrow
    from pyarrow import parquet

ENDINGS = (".csv", ".jsonl", ".parquet")
PART_ROWS = 10_000
BLOCK = 2**20  # bytes

Row = dict[str, str | float | None]


class Csv:
    """Rows as lines of comma-separated values, below a header."""

    def __init__(self, columns: Mapping[str, type]):
        self.header, self._reason = self._line(columns), list(columns).index("reason")

    def lines(self, rows: Iterable[Row]) -> str:
        """Returns the text of some rows."""
        return "".join(self._line(map(_cell, row.values())) for row in rows)

    def read(self, line: str) -> tuple[str, bool]:
        """Returns the path in a line, as `shown` writes it, and whether the file is refused."""
        cells = next(csv.reader([line]))
        return cells[0], bool(cells[self._reason])

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""
        return _cell(path)

    def _line(self, cells: Iterable[str]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(map(printable, cells))
        return text.getvalue()


class JsonLines:
    """Rows as JSON objects, a line each."""

    header = ""

    def __init__(self, columns: Mapping[str, type]):
        del columns

    def lines(self, rows: Iterable[Row]) -> str:
        """Returns the text of some rows."""
        return "".join(json.dumps(row) + "\n" for row in rows)

    def read(self, line: str) -> tuple[str, bool]:
        """Returns the path in a line, and whether the file is refused."""
        row = json.loads(line)
        return row["path"], row["reason"] is not None

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""
        return path


FORMATS: dict[str, type[Csv] | type[JsonLines]] = {".csv": Csv, ".jsonl": JsonLines}


class RowsFile(Protocol):
    """Where rows go."""

    def done(self) -> Iterator[tuple[str, bool]]:
        """Yields of each row that was written before the path, as `shown`, and if it is refused."""

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some rows."""

    def finish(self) -> None:
        """Gives the file its name."""


def open_file(
    out: epath.Path | None, columns: Mapping[str, type], *, origin: Any, resume: bool
) -> RowsFile:
    """Opens a file for rows, or standard output where `out` is None.

    Args:
      out: the file, which ends in one of ENDINGS.
      columns: of the rows, and whether they hold str or float.
      origin: what the rows are made from, as JSON.
      resume: whether to go on with the rows in FILE.part.

    Raises:
      UsageError: there is a FILE.part and `resume` is False, or it is of something else.
    """
    if out is None:
        return Stdout(columns)
    origin = {"columns": list(columns), **origin}
    if gcs.is_gcs(out) or out.suffix.lower() == ".parquet":
        return PartFiles(out, columns, origin=origin, resume=resume)
    return LineFile(out, columns, origin=origin, resume=resume)


class Stdout:
    """Rows as CSV on standard output, which holds nothing else."""

    def __init__(self, columns: Mapping[str, type], out: TextIO | None = None):
        self._format, self._out = Csv(columns), out or sys.stdout
        self._out.write(self._format.header)

    def done(self) -> Iterator[tuple[str, bool]]:
        """Yields nothing: no row is kept."""
        return iter(())

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""
        return self._format.shown(path)

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some rows."""
        self._out.write(self._format.lines(rows))
        self._out.flush()

    def finish(self) -> None:
        """Has nothing to do."""


class LineFile:
    """A local file of lines; see `open_file`."""

    def __init__(self, out: epath.Path, columns: Mapping[str, type], *, origin: Any, resume: bool):
        self._out, self._format = out, FORMATS[out.suffix.lower()](columns)
        self._part = out.with_name(out.name + ".part")
        self._origin = out.with_name(out.name + ".part.json")
        if self._part.exists():
            _check(self._part, self._origin, origin, resume=resume)
        else:
            atomic.write_json(self._origin, origin)
            atomic.write_text(self._part, self._format.header)
        _cut_unfinished_line(self._part)

    def done(self) -> Iterator[tuple[str, bool]]:
        """Yields of each row that was written before the path, as `shown`, and if it is refused."""
        with open(self._part, encoding="utf-8", newline="") as file:
            file.seek(len(self._format.header.encode()))
            yield from map(self._format.read, file)

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""
        return self._format.shown(path)

    def write(self, rows: Sequence[Row]) -> None:
        """Appends some rows."""
        with open(self._part, "a", encoding="utf-8", newline="") as file:
            file.write(self._format.lines(rows))

    def finish(self) -> None:
        """Gives the file its name."""
        with open(self._part, "rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self._out)
        self._origin.unlink()


class PartFiles:
    """A file that nothing can be appended to: parts in a folder, joined at the end."""

    def __init__(self, out: epath.Path, columns: Mapping[str, type], *, origin: Any, resume: bool):
        self._out, self._columns = out, columns
        self._kind = out.suffix.lower()
        self._lines = None if self._kind == ".parquet" else FORMATS[self._kind](columns)
        self._folder = out.with_name(out.name + ".part")
        self._origin = self._folder / "origin.json"
        if self._origin.exists():
            _check(self._folder, self._origin, origin, resume=resume)
        else:
            atomic.write_json(self._origin, origin)
        self._parts = len(self._files())
        self._waiting: list[Row] = []

    def done(self) -> Iterator[tuple[str, bool]]:
        """Yields of each row that was written before the path, as `shown`, and if it is refused."""
        for file in self._files():
            content = file.read_bytes()
            if self._lines:
                yield from map(self._lines.read, content.decode().splitlines())
            else:
                table = parquet.read_table(io.BytesIO(content), columns=["path", "reason"])
                for row in table.to_pylist():
                    yield row["path"], row["reason"] is not None

    def shown(self, path: str) -> str:
        """Returns a path as it is written."""
        return self._lines.shown(path) if self._lines else path

    def write(self, rows: Sequence[Row]) -> None:
        """Keeps some rows, and writes a part where there are enough."""
        self._waiting += rows
        if len(self._waiting) >= PART_ROWS:
            self._write_part()

    def finish(self) -> None:
        """Joins the parts, and removes them."""
        if self._waiting:
            self._write_part()
        if gcs.is_gcs(self._out):
            with tempfile.NamedTemporaryFile() as whole:
                self._join(epath.Path(whole.name))
                with self._out.open("wb") as out:
                    shutil.copyfileobj(whole, out, BLOCK)
        else:
            self._join(self._folder / "whole")
            (self._folder / "whole").replace(self._out)
        self._folder.rmtree()

    def _files(self) -> list[epath.Path]:
        return sorted(file for file in self._folder.iterdir() if file.suffix == self._kind)

    def _write_part(self) -> None:
        content = io.BytesIO()
        if self._lines:
            content.write(self._lines.lines(self._waiting).encode())
        else:
            table = pyarrow.Table.from_pylist(self._waiting, schema=self._schema)
            parquet.write_table(table, content)
        atomic.write_bytes(self._folder / f"{self._parts:06}{self._kind}", content.getvalue())
        self._parts, self._waiting = self._parts + 1, []

    def _join(self, whole: epath.Path) -> None:
        if self._lines:
            with open(whole, "wb") as joined:
                joined.write(self._lines.header.encode())
                for file in self._files():
                    joined.write(file.read_bytes())
            return
        with parquet.ParquetWriter(os.fspath(whole), self._schema) as writer:
            for file in self._files():
                writer.write_table(parquet.read_table(io.BytesIO(file.read_bytes())))

    @property
    def _schema(self) -> "pyarrow.Schema":
        kinds = {str: pyarrow.string(), float: pyarrow.float64()}
        return pyarrow.schema([(name, kinds[kind]) for name, kind in self._columns.items()])


def _check(part: epath.Path, file: epath.Path, origin: Any, *, resume: bool) -> None:
    """Raises a UsageError unless the rows in `part` are to be gone on with."""
    if not resume:
        raise UsageError(
            f"{part} holds the rows of an interrupted prediction: give --resume to go on with it, "
            "or delete it."
        )
    found = json.loads(file.read_text()) if file.exists() else {}
    if found != json.loads(json.dumps(origin)):
        differ = [name for name in origin if found.get(name) != origin[name]]
        raise UsageError(
            f"{part} holds rows of another prediction ({', '.join(differ)} differ): give what it "
            "was begun with, or delete it."
        )


def _cut_unfinished_line(file: epath.Path) -> None:
    """Leaves off what a killed process has written of a line."""
    with open(file, "rb+") as opened:
        end = opened.seek(0, os.SEEK_END)
        while end:
            opened.seek(end - 1)
            if opened.read(1) == b"\n":
                break
            end -= 1
        opened.truncate(end)


def _cell(value: str | float | None) -> str:
    """Returns a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    return f"'{value}" if value.startswith(FORMULA) else value
