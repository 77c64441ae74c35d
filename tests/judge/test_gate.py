"""The gate knows the training set's own images from others, and says which check they fail."""

import keras
import numpy as np
import pytest
from etils import epath
from PIL import Image, ImageDraw

from trainer.data import data_split, pipeline
from trainer.judge import appearance, gate
from trainer.judge.gate import Gate, TrainingImages
from trainer.system.errors import UsageError

SIDE = 64


@pytest.fixture(scope="module")
def images(phantoms):
    """The images of the test split, [n, S, S, 1]; phantoms."""
    split = data_split.open_split(phantoms, "test")
    return pipeline.read_images(split, range(split.size), SIDE, fit_mode="pad")


@pytest.fixture(scope="module")
def fitted(finished):
    """The gate that the run left."""
    return Gate.load(finished)


def text():
    page = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(page).multiline_text((2, 2), "\n".join(["a page of text"] * 6), fill=0)
    return np.asarray(page)[None, ..., None]


def checks(fitted, images, side=SIDE):
    """The check that each image fails, where its features are those of a training image."""
    features = np.repeat(fitted.neighbours[:1], len(images), 0)
    found = fitted.findings(images, features, [(side, side + 1)] * len(images))
    assert all(one.value != one.limit for one in found if one)
    return [one.check if one else "" for one in found]


def test_what_it_was_not_trained_on_is_named(fitted, images):
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    border = np.zeros_like(images)
    border[:, :24, :24] = images[:, ::2, ::2][:, :24, :24]

    assert np.mean([check == "" for check in checks(fitted, images)]) > 0.8
    assert np.mean([c == "inverted" for c in checks(fitted, 255 - images)]) > 0.8
    for quarters in (1, 3):
        turned = np.rot90(images, quarters, (1, 2))
        assert np.mean([c == "rotated" for c in checks(fitted, turned)]) > 0.8
    assert set(checks(fitted, noise)) | set(checks(fitted, text())) == {"unlike"}
    assert set(checks(fitted, images // 64 + 90)) == {"nearly constant"}
    assert set(checks(fitted, border)) == {"mostly border"}
    assert set(checks(fitted, images, side=SIDE // 4 - 1)) == {"too small"}


def test_features_far_from_all_of_training_are_flagged(fitted, images):
    passed = images[[check == "" for check in checks(fitted, images)]][:1]

    (finding,) = fitted.findings(passed, -fitted.neighbours[:1], [(SIDE, SIDE)])

    assert finding.check == "far" and finding.value > finding.limit


def test_a_saved_gate_finds_the_same_and_a_damaged_one_is_named(fitted, images, tmp_path):
    folder = epath.Path(tmp_path)
    assert Gate.load(folder) is None
    fitted.save(folder)
    assert checks(Gate.load(folder), images) == checks(fitted, images)
    (folder / gate.FILE).write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"gate\.npz cannot be read"):
        Gate.load(folder)


def test_looks_of_turned_images_follow_from_those_of_the_images(images):
    found = appearance.looks(images)

    for expected, turned in (
        (found.negative(), 255 - images),
        (found.rotated(1), np.rot90(images, 1, (1, 2))),
    ):
        actual = appearance.looks(np.ascontiguousarray(turned))
        np.testing.assert_allclose(actual.grey, expected.grey, atol=1e-5)
        assert np.abs(actual.edges - expected.edges).mean() < 0.1  # of an edge a pixel is missing
        np.testing.assert_allclose(actual.quantiles, expected.quantiles, atol=0.1)


@pytest.mark.parametrize("side", [16, 20, 37])
def test_images_of_any_side_have_looks(side):
    noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 1), np.uint8)

    table = appearance.looks(noise).table()

    assert table.shape == (3, 16**2 + 8**2 + 7 + 4) and np.isfinite(table).all()


def test_the_draw_is_the_same_for_the_same_seed(phantoms, tiny):
    model = keras.Sequential(
        [keras.Input((32, 32, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    split = data_split.open_split(phantoms, "train")
    first, second = (TrainingImages.draw(split, model, tiny) for _ in range(2))
    tiny.seed = 1

    np.testing.assert_array_equal(first.features, second.features)
    other = TrainingImages.draw(split, model, tiny).features
    assert other.shape == first.features.shape == (split.size, 32 * 32)
    assert (other != first.features).any()
