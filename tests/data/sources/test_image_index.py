"""Images are found whatever folder the table's paths start from."""

import time

import pytest

from trainer.data.sources.image_index import find

CHEXPERT = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a/1.png", "a/1.png"),
        ("./a\\1.png", "a/1.png"),
        ("1.png", "images_001/images/1.png"),
        ("1", "images_001/1.dcm"),
        ("1.2.840.7", "x/1.2.840.7.dcm"),
        ("1.png", "x/1.PNG"),
        ("1.JPG", "x/1.jpeg"),
        ("IMG_1.png", "x/img_1.png"),
        ("A/Img_1", "set/a/img_1.PNG"),
        ("my%20set/a%20b.png", "my set/a b.png"),
        ("100%20.png", "100%20.png"),
        ("1.dcm.png", "x/1.dcm.png"),
        ("/home/someone/set/a/1.png", "a/1.png"),
        ("../set/a/1.png", "a/1.png"),
        ("Mu\u0308ller.png", "a/M\u00fcller.png"),
        ("M\u00fcller.png", "a/Mu\u0308ller.png"),
        (CHEXPERT, CHEXPERT),
        (CHEXPERT, "train/patient00001/study1/view1_frontal.jpg"),
        (CHEXPERT, "patient00001/study1/view1_frontal.jpg"),
        (CHEXPERT, f"archive/{CHEXPERT}"),
    ],
)
def test_a_path_is_found(path: str, file: str):
    assert find([path], ["other/2.png", file]) == ({path: file}, set())


def test_files_that_only_case_tells_apart_stay_apart():
    assert find(["a.png", "A.png"], ["a.png", "A.png"])[0] == {"a.png": "a.png", "A.png": "A.png"}
    assert find(["AB.png", "c"], ["ab.png", "Ab.png", "c.png"])[1] == {"AB.png"}


def test_another_patients_image_of_the_same_name_is_not_taken():
    paths = [f"CheXpert/train/patient0000{n}/study1/view1_frontal.jpg" for n in (1, 2)]
    found, ambiguous = find(paths, ["train/patient00001/study1/view1_frontal.jpg"])
    assert found == {paths[0]: "train/patient00001/study1/view1_frontal.jpg"} and not ambiguous


def test_a_name_in_two_folders_is_ambiguous_unless_it_is_whole():
    assert find(["1.png", "2.png"], ["a/1.png", "b/1.png", "2.png", "a/2.png"]) == (
        {"2.png": "2.png"},
        {"1.png"},
    )


def test_names_that_only_their_composition_tells_apart_are_two():
    names = ["Mu\u0308.png", "M\u00fc.png"]
    assert find(names, names) == ({name: name for name in names}, set())


def test_what_is_not_there_is_not_found():
    assert find(["3.png", "1.png"], ["a/1.png"]) == ({"1.png": "a/1.png"}, set())
    assert find(["3.png"], ["a/1.png"]) == ({}, set())
    assert find(["11.png"], ["a/1.png", "a/111.png"]) == ({}, set())


def test_many_files_of_one_name_are_no_slower():
    paths = [f"set/p{n}/study/view.jpg" for n in range(30_000)]
    names = [path.removeprefix("set/") for path in paths]
    start = time.perf_counter()
    assert len(find(paths, names)[0]) == len(paths)
    assert time.perf_counter() - start < 10


def test_another_suffix_counts_only_where_it_is_unambiguous():
    assert find(["1.png", "2.png"], ["1.PNG", "2.jpg", "2.JPG"]) == (
        {"1.png": "1.PNG"},
        {"2.png"},
    )
    assert find(["1.txt"], ["1.png"]) == ({}, set())
