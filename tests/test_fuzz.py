"""Readers of archives, DICOM, images and records take damaged input or refuse it in a sentence."""

import pytest

from scripts import fuzz

CASES = {"archive": 60, "dicom header": 60, "dicom pixels": 60, "image": 80, "record": 40}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_no_damage_is_more_than_a_refusal(kind: str):
    sound, _, read = fuzz.KINDS[kind]
    for data in sound():
        read(data)
    taken = sum(fuzz.check(kind, case) for case in range(CASES[kind]))
    assert taken < CASES[kind] or kind == "record"  # whose readers refuse inside
