"""Tables are read as spreadsheets write them."""

from pathlib import Path

import pytest
from etils import epath

from trainer.data.sources.csv_table import CsvTable
from trainer.system.errors import UsageError


def table(folder: Path, content: bytes) -> CsvTable:
    (folder / "t.csv").write_bytes(content)
    return CsvTable(epath.Path(folder / "t.csv"))


@pytest.mark.parametrize(
    "content",
    [
        b"path,note,x\na.png,,1\nb.png,,0\n",
        b"\xef\xbb\xbfpath,note,x\r\na.png,,1\r\n\r\nb.png,,0",
        b'path, note,x\n"a.png","a, ""quoted""\nnote", 1 \nb.png,n,0\n,,\n',
        b"path;note;x\na.png;;1\nb.png;;0\n",
        b"path\tnote\tx\na.png\t\t1\nb.png\t\t0\n",
        b"path,note,x,\na.png,,1,\nb.png,,0,\n",
        b"path,note,x\na.png,,1,\nb.png,,0,\n",
    ],
)
def test_cells_of_the_columns_asked_for(tmp_path: Path, content: bytes):
    rows = [cells for _, cells in table(tmp_path, content).rows(["x", "path"]) if any(cells)]
    assert rows == [("1", "a.png"), ("0", "b.png")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"path,x\na.png,1\nb.png\n", "line 3 has 1 cells where the header has 2"),
        (b"path,x\na,b.png,1\n", "line 2 has 3 cells where the header has 2"),
        (b"path,x,x\na.png,1,1\n", "two columns 'x': rename"),
        (b"path,x\n\xff\xfe.png,1\n", "is not UTF-8 text"),
        (b"", "no header with two columns"),
        (b"just words\n", "no header with two columns"),
        (b'path,x\n"' + b"a" * 200_000 + b'",1\n', "is not valid CSV: field larger"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        list(table(tmp_path, content).rows(["path", "x"]))
