"""Rows that were written survive, and an interrupted file is gone on with or refused."""

import csv
import json

import pytest
from etils import epath
from pyarrow import parquet

from trainer.judge import prediction_file
from trainer.judge.prediction_file import ENDINGS, PartFiles, open_file
from trainer.system.errors import UsageError

COLUMNS = {"path": str, "probability": float, "reason": str}


def row(path, probability=0.25, reason=None):
    return {"path": path, "probability": probability, "reason": reason}


def opened(out, resume=False, **origin):
    return open_file(epath.Path(out), COLUMNS, origin={"runs": ["r"], **origin}, resume=resume)


def read(out):
    if out.suffix == ".parquet":
        found = parquet.read_table(out).to_pylist()
        assert all(type(r["probability"]) in (float, type(None)) for r in found)
        return [(r["path"], r["probability"]) for r in found]
    text = out.read_text()
    if out.suffix == ".csv":
        return [(r["path"], float(r["probability"])) for r in csv.DictReader(text.splitlines())]
    return [(r["path"], r["probability"]) for r in map(json.loads, text.splitlines())]


@pytest.mark.parametrize("ending", ENDINGS)
def test_parts_are_gone_on_with_and_joined(tmp_path, ending, monkeypatch):
    """In a bucket, and for Parquet, nothing is appended."""
    monkeypatch.setattr(prediction_file, "PART_ROWS", 2)
    out = tmp_path / f"p{ending}"

    def parts(resume):
        origin = {"columns": list(COLUMNS)}
        return PartFiles(epath.Path(out), COLUMNS, origin=origin, resume=resume)

    parts(resume=False).write([row("a.png", 0.5), row("b.png", 0.5, "damaged")])
    with pytest.raises(UsageError, match="give --resume"):
        parts(resume=False)
    second = parts(resume=True)
    assert list(second.done()) == [("a.png", False), ("b.png", True)]
    second.write([row("c.png", 0.125)])
    second.finish()

    assert read(out) == [("a.png", 0.5), ("b.png", 0.5), ("c.png", 0.125)]
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_an_interrupted_file_goes_on_after_its_last_whole_row(tmp_path, ending):
    out = tmp_path / f"p{ending}"
    first = opened(out)
    first.write([row('a, "1".png'), row("b.png", None, "damaged")])
    part = tmp_path / f"p{ending}.part"
    part.write_bytes(part.read_bytes() + b'{"path": "c.p')
    assert not out.exists()

    second = opened(out, resume=True)
    assert list(second.done()) == [('a, "1".png', False), ("b.png", True)]
    second.write([row("c.png")])
    second.finish()

    assert [line.count("png") for line in out.read_text().splitlines()[-3:]] == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_rows_of_another_prediction_are_refused(tmp_path):
    out = tmp_path / "p.csv"
    opened(out).write([row("a.png")])

    with pytest.raises(UsageError, match="give --resume to go on with it, or delete it"):
        opened(out)
    with pytest.raises(UsageError, match=r"another prediction \(runs differ\)"):
        opened(out, resume=True, runs=["other"])


def test_no_path_is_a_formula_or_more_than_a_line(tmp_path, capsys):
    for out in (tmp_path / "p.csv", None):
        file = open_file(out and epath.Path(out), COLUMNS, origin={}, resume=False)
        file.write([row("=cmd()"), row("a\nb", 1 / 3)])
        text = (tmp_path / "p.csv.part").read_text() if out else capsys.readouterr().out
        assert text == "path,probability,reason\n'=cmd(),0.25,\na\\nb,0.333333333,\n"
        assert file.shown("=cmd()") == "'=cmd()"
