"""The public tables are known by their columns; of others the user says what they mean."""

import pytest

from trainer.data.sources.options import Options
from trainer.data.sources.table_schema import CHEXPERT_OBSERVATIONS, NIH_FINDINGS, find_schema
from trainer.system.errors import UsageError

NIH = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "View Position")


def test_the_public_tables_are_known():
    nih = find_schema(NIH, Options(), "t.csv")
    assert (nih.path, nih.labels, nih.patient) == ("Image Index", ("Finding Labels",), "Patient ID")
    assert len(nih.findings) == 14 and list(NIH_FINDINGS) == sorted(NIH_FINDINGS)
    chexpert = find_schema(
        ("Path", "Sex", "Frontal/Lateral", "No Finding", "Edema", "Fracture"), Options(), "t.csv"
    )
    assert chexpert.labels == ("Edema", "Fracture") and chexpert.blank_is_negative
    assert len(CHEXPERT_OBSERVATIONS) == 13
    rsna = find_schema(("patientId", "x", "y", "width", "height", "Target"), Options(), "t.csv")
    assert (rsna.path, rsna.labels) == ("patientId", ("Target",))


def test_what_the_user_says_goes_before_what_is_known():
    options = Options(label_columns=("View Position",), patient_column="Follow-up #")
    schema = find_schema(NIH, options, "t.csv")
    assert schema.labels == ("View Position",) and schema.findings == ()
    assert (schema.path, schema.patient) == ("Image Index", "Follow-up #")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(), r"t.csv needs --path_column: it has the columns file, edema"),
        (Options(path_column="file"), "needs --label_columns"),
        (
            Options(path_column="File", label_columns=("edema",)),
            r"no column 'File' \(--path_column\) \(did you mean 'file'\?\): it has file, edema",
        ),
        (
            Options(path_column="file", label_columns=("edema", "mass")),
            r"no column 'mass' \(--label_columns\): it has",
        ),
        (
            Options(path_column="file", label_columns=("edema",), split_column="fold"),
            r"'fold' \(--split_column\)",
        ),
    ],
)
def test_a_column_that_is_not_there_is_refused(options: Options, sentence: str):
    columns = ("file", "edema", *(f"other{n}" for n in range(30)))
    with pytest.raises(UsageError, match=sentence):
        find_schema(columns, options, "t.csv")


def test_a_message_does_not_list_thousands_of_columns():
    with pytest.raises(UsageError, match="and 4980 more") as refusal:
        find_schema([f"c{n}" for n in range(5000)], Options(), "t.csv")
    assert len(str(refusal.value)) < 300
