"""An export shows training images where that was asked for, and else holds none."""

import dataclasses
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from trainer.data import data_split, dataset, examples
from trainer.export.exported import Exported
from trainer.export.similar_images import SIDE, Similar, SimilarImages
from trainer.judge.ensemble import Ensemble
from trainer.system.errors import UsageError


@pytest.fixture(scope="module")
def similar(lungs: epath.Path) -> SimilarImages:
    """All training images, as an export was asked for more."""
    found = Exported.open(lungs).similar
    assert found is not None
    return found


@pytest.fixture(scope="module")
def training(phantoms: epath.Path) -> data_split.Split:
    return data_split.open_split(phantoms, "train")


def test_training_image_is_nearest_to_itself(
    similar: SimilarImages, served_run: Ensemble, training: data_split.Split
):
    assert len(similar.pictures) == training.size
    member, numbers = served_run.members[0], np.arange(0, training.size, 9)
    parsed = tf.io.parse_example(training.read(numbers), dataset.stored_features(1))
    for file, labels in zip(parsed["image"].numpy(), parsed["labels"].numpy(), strict=True):
        image = member.stored_image(file)
        _, (features,) = member.logits_and_features(member.fitted_image(image)[np.newaxis])
        first, *others = similar.nearest(features, 5)
        assert first.distance < 2e-3 and first.labels.tolist() == labels.tolist()
        assert first.distance <= others[0].distance <= others[-1].distance and len(others) == 4
        picture = Image.open(io.BytesIO(first.picture))
        assert max(picture.size) == SIDE
        shown = np.asarray(picture, float) - np.asarray(image.resize(picture.size), float)
        assert np.abs(shown).mean() < 4


def test_same_images_are_drawn_and_fewer_are_the_first_of_more(
    similar: SimilarImages, served_run: Ensemble, phantoms: epath.Path
):
    few = SimilarImages.draw(served_run, phantoms, 5)
    assert few.pictures == similar.pictures[:5]
    np.testing.assert_allclose(few.features, similar.features[:5], atol=1e-3)


def test_other_data_than_the_run_was_trained_on_are_refused(
    served_run: Ensemble,
    phantoms: epath.Path,
    training: data_split.Split,
    monkeypatch: pytest.MonkeyPatch,
):
    other = dataclasses.replace(training, fingerprint="other")
    monkeypatch.setattr(data_split, "open_split", lambda *_: other)
    with pytest.raises(UsageError, match="no training images for --similar"):
        SimilarImages.draw(served_run, phantoms, 5)


def test_export_with_training_images_says_so_and_names_none(
    lungs: epath.Path, similar: SimilarImages, phantoms: epath.Path, training: data_split.Split
):
    about = json.loads((lungs / "metadata.json").read_text())["similar"]
    assert about["images"] == training.size and about["side"] == SIDE
    assert "It holds training images" in (lungs / "model_card.md").read_text()
    assert "similar.npz" in json.loads((lungs / "checksums.json").read_text())
    words = {str(phantoms).encode()}
    for identities in examples.identities(training):
        words |= {identity.encode() for identity in identities if len(identity) > 5}
    content = (lungs / "similar.npz").read_bytes()
    assert len(words) > 1 and not any(word in content for word in words)
    for picture in similar.pictures:
        image = Image.open(io.BytesIO(picture))
        assert image.mode == "L" and not image.getexif() and "comment" not in image.info


def test_labels_have_the_names_of_classes_or_their_own():
    one = Similar(0.0, np.array([1], np.int8), b"")
    assert one.shows(["PNEUMONIA"], ["NORMAL", "PNEUMONIA"]) == ["PNEUMONIA"]
    assert one._replace(labels=np.array([0])).shows(["A"], ["NORMAL", "A"]) == ["NORMAL"]
    several = Similar(0.0, np.array([1, 0, -1], np.int8), b"")
    assert several.shows(["A", "B", "C"], []) == ["A"]
    assert several.unknown(["A", "B", "C"]) == ["C"]
    assert one._replace(labels=np.array([-1])).shows(["A"], ["NORMAL", "A"]) == []
