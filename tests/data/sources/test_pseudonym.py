"""Names and patients are hashed with a salt."""

import csv
from pathlib import Path

import pytest

from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.pseudonym import all_pseudonymous, pseudonymous, write_names
from trainer.system.errors import UsageError

RECORD = ImageRecord("a/Doe.dcm", (1,), "Doe", "train", "a/Doe.dcm", "a lateral view")


def test_name_and_patient_are_hashed_and_the_rest_stays():
    hidden = pseudonymous(RECORD, "salt")
    assert hidden.name.startswith("dicom-") and hidden.patient.startswith("patient-")
    assert "Doe" not in hidden.name + hidden.patient
    rest = (hidden.labels, hidden.split, hidden.place, hidden.refused)
    assert rest == ((1,), "train", "a/Doe.dcm", "a lateral view")


def test_images_of_a_patient_stay_together_and_have_names_of_their_own():
    other = ImageRecord("b/Doe.dcm", (1,), "Doe")
    one, two = pseudonymous(RECORD, "salt"), pseudonymous(other, "salt")
    assert one.patient == two.patient and one.name != two.name and two.place == "b/Doe.dcm"


def test_another_salt_gives_other_hashes():
    one, two = pseudonymous(RECORD, "one"), pseudonymous(RECORD, "two")
    assert one.name != two.name and one.patient != two.patient
    assert pseudonymous(RECORD, "one") == one


def test_nobody_stays_nobody():
    assert pseudonymous(ImageRecord("a.dcm", (1,)), "salt").patient == ""


def test_a_file_that_keeps_its_name_shows_no_patient_of_a_dicom_file():
    """As its near-duplicate, it may be counted as a patient of such a file's name."""
    alone = ImageRecord("a.png", (1,), "13", anonymous=True)
    beside = ImageRecord("b.png", (1,), "Doe", anonymous=True)
    dicom, kept, hidden = all_pseudonymous([RECORD, alone, beside], "salt")
    assert kept == alone and hidden.name == "b.png"
    assert hidden.patient == dicom.patient != "Doe"


def test_names_that_a_table_would_obey_are_written_as_text(tmp_path: Path):
    place = b"a/\xff.dcm".decode(errors="surrogateescape")
    record = ImageRecord("a.dcm", (1,), '=HYPERLINK("x")', place=place)
    file = tmp_path / "names.csv"
    write_names(file, {record.name: pseudonymous(record, "salt")}, [record])
    (row,) = csv.DictReader(file.open())
    assert row["identifier"] == '\'=HYPERLINK("x")' and row["file"] == r"a/\udcff.dcm"


def test_what_hashes_stand_for_is_written_for_the_owner_alone_and_once(tmp_path: Path):
    stored = {RECORD.name: pseudonymous(RECORD, "salt"), "b.png": ImageRecord("b.png", (1,))}
    file = tmp_path / "names.csv"
    write_names(file, stored, [RECORD, stored["b.png"]])
    header, row = file.read_text().splitlines()
    hidden = stored[RECORD.name]
    assert header == "name,patient,file,identifier"
    assert row == f"{hidden.name},{hidden.patient},a/Doe.dcm,Doe"
    assert file.stat().st_mode & 0o777 == 0o600
    for taken in (file, tmp_path / "nowhere" / "names.csv"):
        with pytest.raises(UsageError, match="--names_file=.*(exists already|cannot be written)"):
            write_names(taken, stored, [RECORD])
