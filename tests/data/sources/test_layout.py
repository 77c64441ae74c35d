"""Class folders, in splits or not, give labels and splits."""

import pytest

from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.layout import ClassFolders, order_classes
from trainer.data.sources.options import Options
from trainer.system.errors import UsageError


class InMemory:
    """Files whose content is their name."""

    def __init__(self, *names: str, refused: dict[str, str] | None = None):
        self.name = "memory"
        self.stamps = dict.fromkeys(names, "1")
        self.refused = refused or {}

    def read(self, name: str) -> bytes:
        return name.encode()

    def head(self, name: str, size: int) -> bytes:
        return name.encode()[:size]


def records_of(*names: str, options: Options = Options(), **files: dict) -> list[ImageRecord]:  # noqa: B008
    return ClassFolders("memory", InMemory(*names, **files), options).records()


def test_a_second_copy_and_what_a_computer_leaves_are_left_out():
    records = records_of(
        "chest_xray/train/NORMAL/IM-0001-0001.jpeg",
        "chest_xray/val/PNEUMONIA/person1_virus_1.jpeg",
        "chest_xray/chest_xray/train/NORMAL/IM-0001-0001.jpeg",
        "chest_xray/train/NORMAL/.DS_Store",
        "chest_xray/train/NORMAL/Thumbs.db",
        "__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.jpeg",
        "chest_xray/readme.txt",
    )
    assert [(r.split, r.labels, r.name) for r in records] == [
        ("train", (0,), "chest_xray/train/NORMAL/IM-0001-0001.jpeg"),
        ("val", (1,), "chest_xray/val/PNEUMONIA/person1_virus_1.jpeg"),
    ]


def test_three_classes_are_three_labels():
    source = ClassFolders("x", InMemory("VIRUS/a.png", "NORMAL/b.png", "COVID/c.png"), Options())
    assert source.labels == ("NORMAL", "COVID", "VIRUS") and source.classes == ()
    assert source.exclusive
    assert not ClassFolders("x", InMemory("SICK/a.png", "NORMAL/b.png"), Options()).exclusive
    assert [r.labels for r in source.records()] == [(0, 1, 0), (1, 0, 0), (0, 0, 1)]


def test_folders_give_splits_and_classes():
    records = records_of("set/sick/a.png", "set/healthy/b.png")
    assert [(r.split, r.labels) for r in records] == [("", (0,)), ("", (1,))]
    records = records_of("train/NORMAL/p1/a.png", "train/SICK/p2/a.png", "valid/SICK/p3/a.png")
    assert [(r.split, r.labels[0]) for r in records] == [("train", 0), ("train", 1), ("val", 1)]


def test_the_healthy_class_is_class_0():
    assert order_classes({"COVID", "NORMAL"}) == ["NORMAL", "COVID"]
    assert order_classes({"No Finding", "Edema"}) == ["No Finding", "Edema"]
    assert order_classes({"benign", "malignant"}) == ["benign", "malignant"]


def test_every_file_of_a_class_folder_is_listed_whatever_it_is_called():
    records = records_of("a/1.png", "b/2.png", "b/notes.txt")
    assert [r.name for r in records] == ["a/1.png", "b/2.png", "b/notes.txt"]


def test_refused_files_are_listed_and_displace_no_other():
    bad = {"../train/a/1.png": "its path leaves the archive", "/x/evil/9.png": "absolute"}
    bad["/etc/passwd"] = "absolute"
    records = records_of("train/a/1.png", "train/b/2.png", *bad, refused=bad)
    assert [(r.name, r.labels, r.refused) for r in records] == [
        ("../train/a/1.png", (0,), "its path leaves the archive"),
        ("/x/evil/9.png", (-1,), "absolute"),
        ("train/a/1.png", (0,), ""),
        ("train/b/2.png", (1,), ""),
    ]


def test_one_class_and_images_outside_of_class_folders_are_refused():
    with pytest.raises(UsageError, match="one class a: two are needed"):
        records_of("a/1.png", "a/2.png")
    with pytest.raises(UsageError, match="no images in class folders"):
        records_of("a.png", "notes/readme.txt")


def test_a_pattern_finds_the_patient():
    options = Options(patient_regex=r"p\d")
    records = records_of("a/p1_x.png", "b/p2_x.png", options=options)
    assert [r.patient for r in records] == ["p1", "p2"]
