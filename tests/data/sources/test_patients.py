"""The patient is read from the names of the public sets, or by a user's pattern."""

import pytest

from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.patients import Known, by_pattern, patient_from_name
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person3_bacteria_12.jpeg", "person_bacteria-3"),
        ("person3_virus_15.jpeg", "person_virus-3"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-115"),
        ("IM-0115-0001-0002.jpeg", "IM-115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-115"),
        ("train/BACTERIA-7422-0001.jpeg", "patient-7422"),
        ("NORMAL-28501-0001.jpeg", "patient-28501"),
        ("Images\\person3_virus_15.jpeg", "person_virus-3"),
        ("CheXpert\\train\\patient00001\\study1\\view1_frontal.jpg", "patient00001"),
        ("CHNCXR_0012_1.png", "CHNCXR-12"),
        ("MCUCXR_0012_0.png", "MCUCXR-12"),
        ("ses-E1/mod-rx/sub-S03045_ses-E1_run-1_bp-chest_vp-pa_dx.png", "sub-S03045"),
        ("images_001/images/00000013_005.png", "13"),
        ("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg", "patient00001"),
        ("PNG/train/patient1/study1/view1_frontal.png", "patient1"),
        ("train/NORMAL/scan7.png", ""),
        ("train/NORMAL/patient7.png", ""),
    ],
)
def test_the_patient_is_read_from_a_public_name(name: str, patient: str):
    assert patient_from_name(name) == patient


@pytest.mark.parametrize(
    ("pattern", "patient"),
    [(r"p\d+", "p12"), (r"p(\d+)", "12"), (r"(s\d)_(?P<patient>p\d+)", "p12"), (r"s1(x)?_", "")],
)
def test_a_pattern_finds_the_patient(pattern: str, patient: str):
    records = [ImageRecord("s1_p12.png", (1,)), ImageRecord("s1x_p4.png", (1,))]
    assert by_pattern(records, pattern)[0].patient == patient


def test_a_pattern_is_of_the_files_name_or_else_of_its_path():
    records = [ImageRecord("sick/P0001_1.png", (1,)), ImageRecord("normal/P2/1.png", (1,))]
    assert [r.patient for r in by_pattern(records, r"^(P\d+)_")] == ["P0001", ""]
    assert [r.patient for r in by_pattern(records, r"normal/(P\d+)")] == ["", "P2"]


def test_a_name_that_the_pattern_does_not_match_has_no_patient():
    records = [ImageRecord("p1.png", (1,)), ImageRecord("other.png", (1,), patient="IM-1")]
    assert [r.patient for r in by_pattern(records, r"p\d+")] == ["p1", ""]


def test_a_pattern_that_is_invalid_or_finds_nobody_is_refused():
    with pytest.raises(UsageError, match=r"finds no patient in any name, such as 'a/scan.png'"):
        by_pattern([ImageRecord("a/scan.png", (1,))], r"p\d+")
    with pytest.raises(UsageError, match="not a regular expression: .*unterminated"):
        by_pattern([ImageRecord("a.png", (1,))], "(p")


def test_words_that_name_nobody_are_no_patient():
    cells = ["nan", "ANONYMOUS", "", "Unknown", "p1", "p1", "nan"]
    known = Known(cells)
    assert [known.patient(cell) for cell in cells] == ["", "", "", "", "p1", "p1", ""]
    assert (known.rows_of_nobody, known.different) == (5, 1)


@pytest.mark.parametrize(
    ("cells", "patients"),
    [
        (("12", "12.0", "012", "12"), ["12"] * 4),
        (("P1", "p1", "P 1", "P1"), ["P1"] * 4),
        (("007", "8"), ["007", "8"]),
        (("1.5", "1.50", "p12"), ["1.5", "1.50", "p12"]),
    ],
)
def test_a_patient_may_be_written_in_several_ways(cells: tuple[str, ...], patients: list[str]):
    known = Known(cells)
    assert [known.patient(cell) for cell in cells] == patients
    assert known.different == len(set(patients))
    notes = known.notes("p")
    assert bool(notes) == (len(set(patients)) < len(set(cells)))
    assert all("in 2 more ways than there are patients" in note for note in notes)


def test_numbers_that_a_spreadsheet_shortened_are_said():
    (note,) = Known(["1.23E+11", "1,2E+11", "7"]).notes("p")
    assert note.startswith("warning: column 'p' has numbers that a spreadsheet shortened")
    assert "in 2 of 3 rows" in note


def test_a_zero_is_nobody_where_no_patient_is_as_frequent():
    assert Known(["0", "0", "0", "1", "1"]).patient("0") == ""
    assert Known(["0", "0", "1", "1"]).patient("0") == "0"
