"""A folder's name says whether it is a split, holds masks, or is no class."""

import pytest

from trainer.data.sources.folder_names import (
    is_changed,
    is_mask_file,
    is_patient,
    is_site,
    left_out,
    only_holds_images,
    split_of,
)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "train Training training_set TrainData NonAugmentedTrain train2 train_val trainset",
        ),
        ("val", "val valid validation validate dev ValData Validation-Images"),
        ("test", "test Testing test_set testdata holdout hold-out"),
        ("", "latest contest device invalid single_prediction NORMAL images trainee"),
    ],
)
def test_a_split_has_many_names(split: str, names: str):
    assert {split_of(name) for name in names.split()} == {split}


def test_folders_of_masks_and_of_other_views_hold_no_radiographs():
    for name in ("masks", "lung masks", "ManualMask", "Annotations", "labels", "GT", "overlays"):
        assert left_out(name) == "masks, annotations and the like"
    for name in ("Infection Segmentation Data", "COVID", "images", "label smoothing"):
        assert not left_out(name)
    assert left_out("CT_scans") == "not radiographs"
    assert left_out("Lateral") == "lateral views" and not left_out("Lateral", any_view=True)


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        ("1_mask.png mask_1.png mask1.png 1-Mask.PNG leftMask.png 1_seg.png Overlay (3).jpg", True),
        ("COVID-1.png unmasked.png maskell_1.png segment1.png 1.mask.of.png seguro-1.png", False),
    ],
)
def test_files_of_masks_are_known_by_their_names(names: str, masks: bool):
    for name in names.replace(" (", "\0(").split():
        assert is_mask_file(name.replace("\0", " ")) == masks


@pytest.mark.parametrize("name", ["augmented", "COVID_aug", "Rotated", "train-flipped", "x_CLAHE"])
def test_folders_of_changed_images_are_known_by_their_names(name: str):
    assert is_changed(name) and not is_changed("NonAugmentedTrain") and not is_changed("august")


def test_some_names_are_of_no_class():
    assert all(map(only_holds_images, ("images", "CXR_png", "X-ray", "images_001", "Images 512")))
    assert all(map(is_site, ("siteA", "site_1", "Hospital 2", "centre1", "part3", "setB")))
    assert all(map(is_patient, ("p1", "patient001", "0001", "1.2.840.1", "case3", "Patient 12")))
    for name in ("NORMAL", "COVID19", "0", "1", "stage1", "T1", "sepsis", "grade2"):
        assert not (only_holds_images(name) or is_site(name) or is_patient(name))
