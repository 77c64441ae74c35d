"""Tables are read as spreadsheets write them."""

import gzip
from pathlib import Path

import pytest
from etils import epath

from trainer.data.sources.csv_table import CsvTable
from trainer.system.errors import UsageError


def table(folder: Path, content: bytes, name: str = "t.csv", encoding: str = "") -> CsvTable:
    (folder / name).write_bytes(content)
    return CsvTable(epath.Path(folder / name), encoding)


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
        b"sep=;\r\npath;note;x\r\na.png;,;1\r\nb.png;;0\r\n",
        b'path,note,x\na.png,"PA, erect\nno, none, clear",1\nb.png,"a, b\nc",0\n',
        "path,note,x\na.png,é,1\nb.png,,0\n".encode("utf-16"),
    ],
)
def test_cells_of_the_columns_asked_for(tmp_path: Path, content: bytes):
    rows = [cells for _, cells in table(tmp_path, content).rows(["x", "path"]) if any(cells)]
    assert rows == [("1", "a.png"), ("0", "b.png")]


def test_decimal_commas_are_read_beside_semicolons(tmp_path: Path):
    assert [c for _, c in table(tmp_path, b"x;p\n1,0;12,5\n-1,0;a,b\n").rows(["x", "p"])] == [
        ("1.0", "12.5"),
        ("-1.0", "a,b"),
    ]
    assert [c for _, c in table(tmp_path, b'x,p\n"1,0",2\n').rows(["x", "p"])] == [("1,0", "2")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"path,x\na.png,1\nb.png\n", "line 3 has 1 cells where the header has 2"),
        (b"path,x\na,b.png,1\nc.png,1\n", "line 2 has 3 cells where the header has 2"),
        (b"path,x,x\na.png,1,1\n", "two columns 'x': rename"),
        (
            b"path,x\nb.png,0\nM\xfcller.png,1\n",
            r"line 3 is not UTF-8 text \(byte 16\): .*--encoding=windows-1252, .* `iconv -f",
        ),
        (
            b"path,x\na.png,1,p\nb.png,0,q\n",
            "line 1, the header, names 2 columns, and every row has 3 cells: correct the header",
        ),
        (b"a.png,1,p\nb.png,0,q\n", "line 1 holds 'a.png' where the names of the columns belong"),
        (b"", "no header with two columns"),
        (b"path|x\n", "two columns or more .* separated by commas, semicolons or tabs"),
        ("path,x\n".encode("utf-16-le"), "line 1 holds a byte 0.*: .*--encoding=utf-16-le"),
        ("path,x\n".encode("utf-16-be"), "line 1 holds a byte 0.*: .*--encoding=utf-16-be"),
        (b"PK\x03\x04\xff", "is a zip archive or a spreadsheet, no table: save it as CSV"),
        (b"path,x\na.png,1\npath, x\nb.png,0\n", "line 3 repeats the header: remove"),
        (b"path,x\na.png,\0\n", "line 2 holds a byte 0, which text does not: .* save it as CSV"),
        (b'path,x\n"' + b"a" * 200_000 + b'",1\n', r"line 2 is not valid CSV \(field larger"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        list(table(tmp_path, content).rows(["path", "x"]))


@pytest.mark.parametrize(
    "rows",
    [
        ['a,1,"ground glass', "b,0,none", "c,1,none"],
        ['a,1,"ground glass', "b,0,none", 'c,1,"ground glass', "d,0,none"],
        ['a,1,"ground glass', "b,0,none", 'c,1,ground glass"', "d,0,none"],
        ['a,1,"he said "none" of it"', "b,0,none"],
    ],
)
def test_an_open_quotation_mark_is_refused_with_its_line(tmp_path: Path, rows: list[str]):
    content = "\n".join(["path,x,note", "z,1,none", *rows, ""]).encode()
    with pytest.raises(UsageError, match="line 3 is not valid CSV .*: a quotation mark there is"):
        list(table(tmp_path, content).rows(["path", "x"]))


def test_an_encoding_may_be_named(tmp_path: Path):
    content = "path,x\nMüller.png,1\n".encode("windows-1252")
    rows = list(table(tmp_path, content, encoding="windows-1252").rows(["path"]))
    assert rows == [(2, ("Müller.png",))]
    with pytest.raises(UsageError, match="--encoding=latin-one is no encoding"):
        table(tmp_path, content, encoding="latin-one")
    with pytest.raises(UsageError, match="line 2 is not ASCII text .*give another --encoding"):
        table(tmp_path, content, encoding="ascii")


def test_a_compressed_table_is_read(tmp_path: Path):
    content = gzip.compress(b"path,x\na.png,1\n")
    assert list(table(tmp_path, content, "t.csv.gz").rows(["x"])) == [(2, ("1",))]
    assert list(table(tmp_path, content, "t.csv").rows(["x"])) == [(2, ("1",))]
    with pytest.raises(UsageError, match="t.tsv.gz cannot be decompressed"):
        table(tmp_path, content[:-4], "t.tsv.gz")
