"""Phantoms look like the public archive, and their classes differ in the opacity alone."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.data.synthetic import phantom

NORMAL = re.compile(r"chest_xray/(train|test)/NORMAL/((?:NORMAL2-)?IM-\d{4})-\d{4}\.jpeg")
PNEUMONIA = re.compile(
    r"chest_xray/(train|test)/PNEUMONIA/(person\d+_(?:bacteria|virus))_\d+\.jpeg"
)
LABEL_BOX = (0, 0, 62, 16)


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def split_and_patient(name: str) -> tuple[str, str]:
    match = NORMAL.fullmatch(name) or PNEUMONIA.fullmatch(name)
    assert match, name
    return match[1], match[2]


def linear_auc(features: np.ndarray, sick: np.ndarray, test: np.ndarray, strength: float) -> float:
    """The test AUC of a logistic regression fitted on the train folder."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    model.fit(features[~test], sick[~test])
    return roc_auc_score(sick[test], model.decision_function(features[test]))


@pytest.fixture(scope="module")
def files() -> list[tuple[str, bytes]]:
    return list(phantom.archive(300, seed=0))


@pytest.fixture(scope="module")
def sick(files) -> np.ndarray:
    return np.array(["/PNEUMONIA/" in name for name, _ in files])


@pytest.fixture(scope="module")
def in_test(files) -> np.ndarray:
    return np.array(["/test/" in name for name, _ in files])


def test_a_file_depends_on_the_seed_and_its_place_alone(files):
    assert list(phantom.archive(20, seed=0)) == files[:20]
    for length in range(1, 5):
        assert list(phantom.archive(length, seed=0)) == files[:length]
    assert not {jpeg for _, jpeg in phantom.archive(20, seed=1)} & {jpeg for _, jpeg in files}


def test_names_follow_the_public_archive_and_no_patient_is_in_both_splits(files, sick, in_test):
    assert len({name for name, _ in files}) == len(files)
    pairs = [split_and_patient(name) for name, _ in files]
    patients = [patient for _, patient in pairs]
    assert len(set(pairs)) == len(set(patients))
    assert {patients.count(patient) for patient in patients} == {1, 2, 3}
    assert 0.15 < in_test.mean() < 0.25
    assert 0.5 < sick.mean() < 0.65
    assert 0.5 < sick[in_test].mean() < 0.65
    assert len({name.rsplit("/", 1)[0] for name, _ in files[:30]}) == 4


def test_images_are_grayscale_jpegs_of_varied_size(files):
    images = [opened(jpeg) for _, jpeg in files]
    assert {(image.format, image.mode) for image in images} == {("JPEG", "L")}
    sides = [side for image in images for side in image.size]
    assert min(sides) >= 200 and max(sides) <= 340
    assert len({image.size for image in images}) > len(images) / 2


def test_every_image_carries_the_same_label_in_the_same_place():
    rng = np.random.default_rng(0)
    images = [
        phantom.radiograph(phantom.draw_patient(rng, pattern), rng)
        for pattern in (None, "focal", None, "diffuse")
    ]
    corners = [np.asarray(Image.fromarray(image).crop(LABEL_BOX))[5:14, 4:56] for image in images]
    assert all(np.array_equal(corner, corners[0]) for corner in corners)
    assert set(np.unique(corners[0])) == {0, 255}


@pytest.mark.parametrize("pattern", ["focal", "diffuse"])
def test_the_classes_differ_in_the_lungs_alone(pattern):
    well = phantom.draw_patient(np.random.default_rng(5), None)
    sick = phantom.draw_patient(np.random.default_rng(5), pattern)
    assert np.array_equal(well.tissue, sick.tissue)
    assert np.array_equal(well.lungs, sick.lungs)
    assert not well.opacity.any()
    assert (sick.opacity * sick.lungs).max() > 0.1


def test_diffuse_opacity_is_in_both_lungs_and_a_focal_one_in_one():
    def share_of_the_fainter_side(pattern, seed):
        patient = phantom.draw_patient(np.random.default_rng(seed), pattern)
        added = patient.opacity * patient.lungs
        left, right = added[:, : phantom.PIXELS // 2].sum(), added[:, phantom.PIXELS // 2 :].sum()
        return min(left, right) / (left + right)

    assert np.mean([share_of_the_fainter_side("focal", seed) for seed in range(10)]) < 0.05
    assert np.mean([share_of_the_fainter_side("diffuse", seed) for seed in range(10)]) > 0.2


def test_file_size_shape_and_exposure_do_not_predict_the_class(files, sick, in_test):
    images = [opened(jpeg) for _, jpeg in files]
    features = np.array(
        [
            (len(jpeg), image.width, image.height, np.asarray(image).mean())
            for (_, jpeg), image in zip(files, images, strict=True)
        ]
    )
    assert 0.35 < linear_auc(features, sick, in_test, strength=1.0) < 0.65


@pytest.mark.parametrize("side", [16, 32])
def test_a_linear_model_finds_some_of_the_pneumonia_but_not_most(files, sick, in_test, side):
    images = (opened(jpeg).resize((side, side), Image.Resampling.LANCZOS) for _, jpeg in files)
    thumbnails = np.array([np.asarray(image).ravel() for image in images], np.float64)
    for strength in (0.001, 0.1):
        assert 0.55 < linear_auc(thumbnails, sick, in_test, strength) < 0.85
