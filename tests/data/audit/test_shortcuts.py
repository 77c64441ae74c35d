"""A label that file features predict is found, with an interval; one that they do not is not."""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer import random_numbers
from trainer.augment import augmentation as augment
from trainer.config import schema
from trainer.data.audit import file_features, shortcuts
from trainer.data.audit.file_features import FileFeatures
from trainer.data.decode import radiograph
from trainer.data.sources import patient_from_name
from trainer.data.synthetic import phantom

PLAIN = FileFeatures(
    **{"format": "JPEG", "exif": False, "quality": 75.0, "table": "a", "chroma": "", "mode": "L"},
    **{"bytes": 1000, "bytes_per_pixel": 0.1, "width": 100, "height": 100, "aspect": 1.0},
    **{"border": 20.0, "black": 0.0, "mean": 120.0, "contrast": 50.0},
    **{"quantiser": 6.0, "blockiness": 0.1, "fineness": -3.0, "slope": -0.5},
)
GROUPS = ("EXIF present", "JPEG quantisation tables", "mean and contrast")


@pytest.fixture
def few_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures fewer groups of features than an audit does."""
    few = {group: shortcuts.GROUPS[group] for group in GROUPS}
    together = {shortcuts.TOGETHER: sum(few.values(), ())}
    monkeypatch.setattr(shortcuts, "EVERYTHING", few | together)


class Data:
    """Images of two a patient, a fifth of them in test, whose label is drawn at random."""

    def __init__(self, images: int = 200, positive: float = 0.5):
        patients = np.arange(images) // 2
        draw = np.random.default_rng(1).random(images // 2)
        self.positive = (draw < positive)[patients]
        self.patients = [f"p{patient}" for patient in patients]
        self.in_test = np.arange(images) >= 0.8 * images
        self.features = [PLAIN] * images

    def give(self, rows: np.ndarray, **values) -> None:
        self.features = [
            dataclasses.replace(one, **values) if row else one
            for one, row in zip(self.features, rows, strict=True)
        ]

    def measured(self, **columns: list[str]) -> dict[str, shortcuts.Shortcut]:
        labels = self.positive[:, None].astype(int)
        found = shortcuts.measure(
            self.features,
            labels,
            patients=self.patients,
            in_test=self.in_test,
            names=["SICK"],
            columns=columns,
        )
        return {shortcut.features: shortcut for shortcut in found}


@pytest.mark.usefixtures("few_groups")
def test_a_revealing_feature_is_found_and_holds_in_test():
    data = Data()
    data.give(data.positive, table="b")
    measured = data.measured()
    found = measured["JPEG quantisation tables"]
    assert found.train.low > 0.95
    assert found.test.low > 0.95
    assert found.holds == "holds in test"
    assert found.typical["positive"]["table"] == "b" and found.typical["negative"]["table"] == "a"
    assert measured[shortcuts.TOGETHER].train.low > 0.95
    constant = measured["EXIF present"]  # it does not vary, so it predicts nothing
    assert (constant.train.value, constant.test.value, constant.holds) == (0.5, 0.5, "")
    assert constant.typical == {"positive": {"exif": 0.0}, "negative": {"exif": 0.0}}


@pytest.mark.usefixtures("few_groups")
def test_a_relation_in_train_that_is_reversed_or_missing_in_test_is_named_so():
    data = Data()
    data.give(data.positive != data.in_test, exif=True)
    found = data.measured()["EXIF present"]
    assert found.transfer.high < 0.05
    assert found.holds == "reversed in test"
    data = Data()
    data.give(data.positive & ~data.in_test, exif=True)
    found = data.measured()["EXIF present"]
    assert found.test.value == 0.5
    assert found.holds == "does not hold in test"


@pytest.mark.usefixtures("few_groups")
def test_noise_is_no_shortcut():
    data = Data(400)
    values = np.random.default_rng(3).normal(120, 10, 400)
    data.features = [dataclasses.replace(PLAIN, mean=value) for value in values]
    found = data.measured()["mean and contrast"]
    assert found.train.low < 0.5 < found.train.high


@pytest.mark.usefixtures("few_groups")
def test_patients_are_never_predicted_from_their_own_images():
    """Each patient has a mean of their own, which predicts their other image and nobody else's."""
    data = Data(400)
    means = np.random.default_rng(5).permutation(200)
    data.features = [dataclasses.replace(PLAIN, mean=float(means[i // 2])) for i in range(400)]
    assert data.measured()["mean and contrast"].train.value < 0.65


def test_too_few_images_give_no_number():
    assert Data(images=200, positive=0.02).measured() == {}


@pytest.mark.usefixtures("few_groups")
def test_the_least_number_of_images_is_enough_without_a_test_split():
    data = Data(images=2 * shortcuts.LEAST_IMAGES)
    data.positive = np.arange(2 * shortcuts.LEAST_IMAGES) // 2 % 2 == 1
    data.in_test[:] = False
    data.give(data.positive, exif=True)
    found = data.measured()["EXIF present"]
    assert found.train.value > 0.95
    assert (found.test, found.transfer, found.holds) == (None, None, "")


@pytest.mark.usefixtures("few_groups")
def test_unknown_labels_are_left_out_and_the_worst_label_comes_first():
    data = Data()
    data.give(data.positive, exif=True)
    chance = np.random.default_rng(7).integers(0, 2, len(data.features))
    labels = np.stack([chance, np.where(data.in_test, -1, data.positive)], axis=1)
    found = shortcuts.measure(
        data.features, labels, patients=data.patients, in_test=data.in_test, names=["A", "B"]
    )
    assert list(dict.fromkeys(shortcut.label for shortcut in found)) == ["B", "A"]
    exif = found[0]
    assert exif.train.low > 0.95
    assert exif.test is None


def test_of_many_images_whole_patients_are_drawn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shortcuts, "MOST_IMAGES", 60)
    data = Data()
    kept = shortcuts._sample(data.patients, seed=0)
    assert len(kept) == 60
    assert len({data.patients[row] for row in kept}) == 30


@pytest.mark.slow
def test_encoding_and_size_predict_the_class_of_the_published_files(shared_data: Path):
    with zipfile.ZipFile(shared_data / "chest_xray_originals.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")]
        found = [
            file_features.measure(d, radiograph.decode(d, 4096)) for d in map(archive.read, names)
        ]
    labels = np.array([["PNEUMONIA" in name] for name in names], int)
    patients = [patient_from_name(name) for name in names]
    measured = shortcuts.measure(
        found,
        labels,
        patients=patients,
        in_test=np.zeros(len(names), bool),
        names=["PNEUMONIA"],
    )
    auc = {shortcut.features: shortcut.train.value for shortcut in measured}
    assert auc["EXIF present"] > 0.95
    assert auc["JPEG quantisation tables"] > 0.95
    assert auc["encoding seen in the pixels"] > 0.95
    assert auc["file size"] > 0.95
    assert auc[shortcuts.TOGETHER] > 0.95


@pytest.mark.slow
def test_compressing_and_blurring_on_the_device_hides_how_the_files_were_encoded():
    count, side = 160, 128
    labels = np.random.default_rng(0).permutation(np.arange(count) % 2)
    pixels = np.zeros((count, side, side, 1), np.uint8)
    for number, (_, data) in enumerate(phantom.archive(count)):
        file, quality = io.BytesIO(), 40 if labels[number] else 90
        with Image.open(io.BytesIO(data)) as image:
            image.resize((side, side), Image.Resampling.LANCZOS).save(file, "JPEG", quality=quality)
        pixels[number] = radiograph.decode(file.getvalue(), side)
    options = schema.default().augment
    options.compression_range, options.blur_range = 90.0, 2.0
    augmentation = augment.build(options, jit_compile=False)
    images = tf.constant(pixels / 255, tf.float32)
    seen = augmentation(
        images, random_numbers.key(0, tf.constant(0)), tf.range(count), global_batch=count
    )

    def aucs(shown: np.ndarray) -> list[float]:
        found = [file_features.measure(b"", image) for image in shown]  # of the pixels alone
        patients, train = [str(number) for number in range(count)], np.zeros(count, bool)
        measured = shortcuts.measure(
            found, labels[:, None], patients=patients, in_test=train, names=["sick"]
        )
        groups = ("encoding seen in the pixels", "fine structure")
        return [shortcut.train.value for shortcut in measured if shortcut.features in groups]

    assert min(aucs(pixels)) > 0.95
    assert max(aucs(np.rint(255 * seen.numpy()).astype(np.uint8))) < 0.7


@pytest.mark.usefixtures("few_groups")
def test_a_kept_column_that_predicts_the_label_is_found_whether_of_words_or_of_numbers():
    data = Data()
    sick = data.positive
    random = np.random.default_rng(2)
    ages = np.where(sick, 70, 30) + random.integers(0, 20, len(sick))
    found = data.measured(
        maker=np.where(sick, "B", "A").tolist(),
        age=[str(age) if random.random() < 0.9 else "" for age in ages],
        sex=random.choice(["F", "M", ""], len(sick)).tolist(),
        nothing=[""] * len(sick),
    )
    assert found["column maker"].train.low > 0.95 and found["column maker"].holds == "holds in test"
    assert found["column age"].train.low > 0.8
    assert found["column age"].typical["positive"]["column age"] > 65
    assert found["column sex"].train.low < 0.55
    assert found["column nothing"].train.value == 0.5
    assert found["column maker"].typical["negative"] == {"column maker": "A"}
    assert found[shortcuts.TOGETHER].train.low < 0.55  # of what is in the files
