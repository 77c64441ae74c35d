"""Columns are kept under the user's names, blank where nothing is known, and never guessed."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.sources.test_dicom_folder import dicom_file, fill
from tests.data.sources.test_label_table import table_of
from trainer.data import sources
from trainer.data.decode import dicom
from trainer.data.sources import Options
from trainer.data.sources.kept_columns import KeptColumns
from trainer.system.errors import UsageError

HEADER = dicom.Header("P1", "1.2", "DX", "PA", "MONOCHROME2", 1, 32, 32)
ROWS = (
    "Image,mass,PatientID,Patient Age,Sex",
    "a.png,1,p1,034,F",
    "b.png,0,p2,unknown,\x1b[1mM",
    "c.png,0,p3,,N/A",
    "c.png,0,p3,40,m",
    "c.png,0,p3,41,m",
)
OPTIONS = Options(path_column="Image", label_columns=("mass",))


def table(folder: Path, *keep: str, **images: bytes) -> sources.Source:
    name = table_of(folder, *ROWS, images="" if images else "a.png b.png c.png")
    for letter, content in images.items():
        (folder / f"{letter}.png").write_bytes(content)
    return sources.open_source(name, replace(OPTIONS, keep_columns=keep))


def test_columns_of_a_table_are_kept_printable_and_blank_where_unknown_or_contradictory(
    tmp_path: Path,
):
    source = table(tmp_path, "Sex", "Patient Age=age")
    assert source.columns == ("Sex", "age")
    rows = [("F", "034"), (r"\x1b[1mM", ""), ("m", "")]
    assert [record.columns for record in source.records()] == rows
    plain = sources.open_source(source.name, OPTIONS)
    assert plain.columns == () and [r.columns for r in plain.records()] == [()] * 3
    assert plain.fingerprint == source.fingerprint


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        (["age"], "--keep_columns=age: .* no such column; it has Image, mass, PatientID, Patient"),
        (["Sex", "Patient Age=Sex"], "gives the name 'Sex' twice or none"),
        (["=age"], "no such column"),
    ],
)
def test_a_column_that_is_none_is_refused_with_those_there_are(
    tmp_path: Path, keep: list[str], sentence: str
):
    with pytest.raises(UsageError, match=sentence):
        table(tmp_path, *keep)


def test_tags_of_dicom_files_are_kept_and_a_tables_own_columns_win(tmp_path: Path):
    content = {
        "no/1.dcm": dicom_file("A", sex="F", age="034Y", maker="ACME"),
        "ill/2.dcm": dicom_file("B", age="006M"),
        "ill/3.png": b"\x89PNG\r\n\x1a\n",
    }
    keep = ("sex", "age", "view", "manufacturer=maker", "modality")
    source = sources.open_source(fill(tmp_path / "set", content), Options(keep_columns=keep))
    assert source.columns == ("sex", "age", "view", "maker", "modality")
    assert {record.name: record.columns for record in source.records()} == {
        "no/1.dcm": ("F", "34", "PA", "ACME", "DX"),
        "ill/2.dcm": ("", "0.5", "PA", "", "DX"),
        "ill/3.png": (),
    }
    files = {name: dicom_file(name, f"1.{n}", sex="O") for n, name in enumerate("abc")}
    source = table(tmp_path, "Sex", "sex", **files)
    assert next(r.columns for r in source.records()) == ("F", "O")
    with pytest.raises(UsageError, match="--keep_columns=PatientID tells single patients"):
        table(tmp_path, "PatientID", **files)


@pytest.mark.parametrize("source", ["phantom:20", "x.npz"])
def test_other_sources_have_none(source: str):
    with pytest.raises(UsageError, match="--keep_columns.* and no|neither|no such column"):
        sources.open_source(source, Options(keep_columns=("sex",)))


@pytest.mark.parametrize(
    ("age", "years"),
    [("034Y", "34"), ("000Y", "0"), ("018M", "1.5"), ("010D", "0.0274"), ("45", "45"), ("", "")],
)
def test_an_age_of_dicom_is_in_years_where_it_is_one(age: str, years: str):
    assert dicom._years(age) == years


def test_a_column_that_tells_each_row_apart_is_refused_beside_dicom_files_alone():
    kept = KeptColumns(["number", "age"], ["number", "age"], "t.csv")
    rows = [(f"2024-{n}", str(n)) for n in range(40)]
    kept.check(has_dicom=False, rows=rows)
    with pytest.raises(UsageError, match="--keep_columns=number tells single patients"):
        kept.check(has_dicom=True, rows=rows)
    kept.check(has_dicom=True, rows=[("siemens", age) for _, age in rows])


def test_what_a_table_has_not_is_completed_by_the_header():
    kept = KeptColumns(["Sex", "age"], ["Sex"], "t.csv")
    known = replace(HEADER, sex="F", age="7", manufacturer="nan")
    assert kept.with_header(("", ""), known) == ("", "7")
    assert kept.of_table == ["Sex"]
