"""Archives and folders are read by their layout and their names."""

import zipfile
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.entry import Refusal


def archive_of(path: Path, names: list[str]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return str(path)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person3_bacteria_12.jpeg", "person_bacteria-3"),
        ("person3_virus_15.jpeg", "person_virus-3"),
        ("IM-0115-0001.jpeg", "IM-115"),
        ("IM-0115-0001-0002.jpeg", "IM-115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-115"),
        ("train/NORMAL/scan7.png", "train/NORMAL/scan7.png"),
    ],
)
def test_the_patient_is_the_series_and_the_number(name: str, patient: str):
    assert sources.patient_of(name) == patient


def test_an_archive_is_read_without_its_shadows_and_its_second_copy(tmp_path: Path):
    name = archive_of(
        tmp_path / "public.zip",
        [
            "chest_xray/train/NORMAL/IM-0001-0001.jpeg",
            "chest_xray/val/PNEUMONIA/person1_virus_1.jpeg",
            "chest_xray/chest_xray/train/NORMAL/IM-0001-0001.jpeg",
            "chest_xray/train/NORMAL/.DS_Store",
            "__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.jpeg",
        ],
    )
    records = list(sources.open_source(name).records())
    assert [(r.split, r.class_name, r.name) for r in records] == [
        ("train", "NORMAL", "chest_xray/train/NORMAL/IM-0001-0001.jpeg"),
        ("val", "PNEUMONIA", "chest_xray/val/PNEUMONIA/person1_virus_1.jpeg"),
    ]
    assert records[0].read() == records[0].name.encode()


def test_a_folder_of_class_folders_has_no_splits(tmp_path: Path):
    for name in ("sick/a.png", "healthy/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    records = list(sources.open_source(str(tmp_path)).records())
    assert [(r.split, r.class_name) for r in records] == [("", "healthy"), ("", "sick")]


def test_the_healthy_class_is_class_0():
    assert sources.order_classes({"COVID", "NORMAL"}) == ["NORMAL", "COVID"]
    assert sources.order_classes({"benign", "malignant"}) == ["benign", "malignant"]


def test_an_archive_that_changed_has_another_fingerprint(tmp_path: Path):
    one = archive_of(tmp_path / "one.zip", ["train/a/1.png", "test/b/2.png"])
    two = archive_of(tmp_path / "two.zip", ["train/a/1.png", "test/b/3.png"])
    assert sources.open_source(one).fingerprint == sources.open_source(one).fingerprint
    assert sources.open_source(one).fingerprint != sources.open_source(two).fingerprint


@pytest.mark.parametrize("name", ["phantom:", "phantom:3", "phantom:x", "nowhere.zip"])
def test_a_source_that_is_none_is_refused(name: str):
    with pytest.raises(Refusal, match=name):
        sources.open_source(name)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path):
    file = tmp_path / "set.zip"
    file.write_text("no archive")
    with pytest.raises(Refusal, match="no zip archive"):
        sources.open_source(str(file))


def test_an_archive_without_class_folders_is_refused(tmp_path: Path):
    name = archive_of(tmp_path / "flat.zip", ["a.png", "notes/readme.txt"])
    with pytest.raises(Refusal, match="no images in class folders"):
        list(sources.open_source(name).records())
