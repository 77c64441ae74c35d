"""Columns of patients, views and splits are found without a flag, and said."""

from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import Options
from trainer.system.errors import UsageError

FLAGS = {"path_column": "file", "label_columns": ("mass",)}


def opened(folder: Path, header: str, *cells: str, **options: str) -> sources.Source:
    rows = [f"{n}.png,{n % 2},{cell}" for n, cell in enumerate(cells)]
    (folder / "t.csv").write_text("\n".join([f"file,mass,{header}", *rows]) + "\n")
    for n in range(len(rows)):
        (folder / f"{n}.png").write_bytes(b"x")
    return sources.open_source(str(folder / "t.csv"), Options(**FLAGS | options))


@pytest.mark.parametrize(
    "header", ["Patient ID", "patient_id", "PatientID", "subject", "deid_patient_id", "patientNo"]
)
def test_a_column_of_patients_is_known_by_its_name(tmp_path: Path, header: str):
    source = opened(tmp_path, header, "p1", "p1", "p2")
    assert [r.patient for r in source.records()] == ["p1", "p1", "p2"]
    assert source.notes == [f"column {header!r} tells the patient (--patient_column=none: not)"]


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("patient_age", {}),
        ("has_subject", {}),
        ("patient", {"patient_column": "none"}),
        ("patient", {"patient_regex": "[0-9]"}),
    ],
)
def test_a_column_of_another_name_or_one_declined_tells_no_patient(
    tmp_path: Path, header: str, options: dict
):
    records = opened(tmp_path, header, "p1", "p1", **options).records()
    assert not {r.patient for r in records} & {"p1"}


def test_a_column_of_yes_and_no_tells_no_patient(tmp_path: Path):
    source = opened(tmp_path, "patient", "True", "False", "")
    assert not source.notes and not any(r.patient for r in source.records())


@pytest.mark.parametrize("role", ["view", "modality"])
def test_a_column_that_holds_no_view_or_modality_is_said(tmp_path: Path, role: str):
    (note,) = opened(tmp_path, "x", "foo", "bar", **{f"{role}_column": "x"}).notes
    assert note.startswith(f"warning: column 'x' holds no {role} that is known, such as ")


def test_a_column_of_splits_is_not_passed_over_in_silence(tmp_path: Path):
    source = opened(tmp_path, "Subset", "train", "TEST", "")
    assert source.notes == [
        "warning: column 'Subset' names splits and is not used: give --split_column=Subset"
    ]
    assert not opened(tmp_path, "Subset", "train", "TEST", split_column="Subset").notes
    assert not opened(tmp_path, "Subset", "one", "test").notes


def test_a_missing_split_is_as_good_as_a_blank_one(tmp_path: Path):
    records = opened(tmp_path, "s", "train", "nan", "", split_column="s").records()
    assert [r.split for r in records] == ["train", "", ""]


def test_a_number_is_no_split_and_the_way_out_is_said(tmp_path: Path):
    with pytest.raises(UsageError, match="line 2, column 's' holds '0': .* to have splits drawn"):
        opened(tmp_path, "s", "0", "1", split_column="s")
