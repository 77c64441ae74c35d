"""Each alteration does to an image what its name says, alike on any number of replicas."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.judge.alterations import ALTERATIONS

SIDE = 32
BY_NAME = {alteration.name.partition(" {}")[0]: alteration for alteration in ALTERATIONS}


@pytest.fixture
def images() -> np.ndarray:
    """A bright disc on grey, with a marker in a corner, in whole grey levels."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    image = np.where(rows**2 + (columns - 3) ** 2 < 64, 204, 102)
    image[:3, :3] = 255
    return np.repeat(image[None, :, :, None], 4, axis=0).astype(np.float32) / 255


def altered(images: np.ndarray, name: str, strength: float) -> np.ndarray:
    rows = tf.range(len(images))
    return BY_NAME[name].view(strength)(tf.constant(images), rows).numpy()


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda alteration: alteration.name)
def test_more_strength_changes_more_within_grey_levels(alteration, images):
    changes = []
    for strength in alteration.strengths:
        view = tf.function(alteration.view(strength))
        changed = view(tf.constant(images), tf.range(len(images))).numpy()
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert changed.min() >= 0 and changed.max() <= 1
        changes.append(np.abs(changed - images).mean())
        # A replica that has the last two rows alone sees the same.
        half = alteration.view(strength)(tf.constant(images[2:]), tf.constant([2, 3])).numpy()
        np.testing.assert_allclose(half, changed[2:], atol=1e-6)
    assert changes == sorted(changes)
    assert (changes[0] > 1e-6) == ("PNG" not in alteration.name)


def test_only_the_encoding_is_named_as_encoding():
    encodings = {alteration.name for alteration in ALTERATIONS if alteration.encoding}
    assert encodings == {"re-encoded as PNG of {} bits", "re-encoded as JPEG of quality {}"}


def test_jpeg_is_what_a_program_would_store(images):
    levels = Image.fromarray((images[0, ..., 0] * 255).round().astype(np.uint8))
    file = io.BytesIO()
    levels.save(file, "JPEG", quality=50)
    stored = np.asarray(Image.open(file), np.float32) / 255
    np.testing.assert_allclose(
        altered(images, "re-encoded as JPEG of quality", 50)[0, ..., 0], stored, atol=1.5 / 255
    )


def test_geometry_alternates_its_direction(images):
    left, right = altered(images, "shifted by", 12.5)[:2]
    np.testing.assert_allclose(left[:, :-4], images[0][:, 4:], atol=1e-5)
    np.testing.assert_allclose(right[:, 4:], images[0][:, :-4], atol=1e-5)
    turned = altered(images, "rotated by", 90)
    np.testing.assert_allclose(turned[0], np.rot90(images[0], 1), atol=1e-4)
    np.testing.assert_allclose(turned[1], np.rot90(images[0], -1), atol=1e-4)


def test_framing_shows_the_middle_larger_or_smaller(images):
    disc = np.sum(images[0] == 204 / 255)
    for name, times in (("framed closer by", 1 / 0.8), ("framed wider by", 1 / 1.2)):
        framed = altered(images, name, 20)
        np.testing.assert_allclose(framed[0], framed[1], atol=1e-6)
        seen = np.sum(framed[0] > 153 / 255) - np.sum(framed[0] > 230 / 255)
        assert seen == pytest.approx(times**2 * disc, rel=0.1)


def test_noise_differs_from_image_to_image_and_not_from_time_to_time(images):
    noisy = altered(images, "with noise of", 5)
    assert np.std(noisy[0] - images[0]) == pytest.approx(0.05, rel=0.15)
    assert np.abs(noisy[0] - noisy[1]).max() > 0.05
    np.testing.assert_array_equal(noisy, altered(images, "with noise of", 5))


def test_grey_levels_corners_and_resolution(images):
    inner = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(
        altered(images, "brighter by", 10)[inner], images[inner] + 0.1, atol=1e-6
    )
    np.testing.assert_allclose(
        altered(images, "darker by", 10)[inner], images[inner] - 0.1, atol=1e-6
    )
    flat = altered(images, "with contrast lower by", 40)
    assert np.ptp(flat[inner]) == pytest.approx(0.6 * np.ptp(images[inner]), abs=1e-5)
    painted = altered(images, "with corners of", 10)
    assert painted[:, :3, :3].max() == 0 and painted[:, -3:, -3:].max() == 0
    np.testing.assert_array_equal(painted[inner], images[inner])
    fine = np.indices((SIDE, SIDE)).sum(0)[None, :, :, None] % 2 * np.ones_like(images)
    assert np.ptp(altered(fine, "at 1/{} of the resolution", 2)) < 0.5
