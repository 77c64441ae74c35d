"""Copies are found whatever was done to them, and other patients are not taken for copies."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from trainer.data import duplicates
from trainer.data.decode import radiograph
from trainer.data.synthetic import phantom


@pytest.fixture(scope="module")
def radiographs() -> list[np.ndarray]:
    """The first image of each of some 20 phantoms."""
    by_patient = {}
    for name, data in phantom.archive(40):
        by_patient.setdefault(name.rsplit("_", 1)[0].rsplit("-", 1)[0], data)
    return [radiograph.decode(data, 512) for data in by_patient.values()]


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


def cropped(image: Image.Image) -> Image.Image:
    across, down = image.width // 100, image.height // 100
    return image.crop((across, down, image.width - across, image.height - down))


CHANGES = {
    "recompressed": recompressed,
    "resized": lambda image: image.resize((224, 224)),
    "cropped by a hundredth": cropped,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "of less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
}


def changed(pixels: np.ndarray, change: str) -> np.ndarray:
    return np.asarray(CHANGES[change](Image.fromarray(pixels[..., 0])))[..., None]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_in_the_group_of_its_original(radiographs: list[np.ndarray], change: str):
    copies = [changed(pixels, change) for pixels in radiographs[:10]]
    groups = duplicates.near_groups([*map(duplicates.fingerprint, [*radiographs[:10], *copies])])
    assert groups[:10] == groups[10:]


def test_other_patients_are_not_taken_for_copies(radiographs: list[np.ndarray]):
    groups = duplicates.near_groups([duplicates.fingerprint(pixels) for pixels in radiographs])
    assert len(set(groups)) == len(radiographs)


def test_a_fingerprint_has_its_bits_whatever_the_image():
    flat = np.zeros((16, 400, 1), np.uint8)
    assert len(duplicates.fingerprint(flat)) * 8 == duplicates.BITS
    assert duplicates.fingerprint(flat) == duplicates.fingerprint(flat[:, :16])


def test_images_linked_by_a_third_are_one_group():
    bits = np.zeros((3, duplicates.BITS), bool)
    bits[1, :10] = True
    bits[2, :20] = True
    prints = [np.packbits(row).tobytes() for row in bits]
    assert duplicates.near_groups(prints, bits=10) == [0, 0, 0]
    assert len(set(duplicates.near_groups(prints, bits=9))) == 3


def test_groups_cross_the_blocks_in_which_pairs_are_compared(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duplicates, "BLOCK", 4)
    prints = [np.random.default_rng(i).bytes(duplicates.BITS // 8) for i in range(10)]
    groups = duplicates.near_groups([*prints, prints[0], prints[9]])
    assert duplicates.members(groups) == [[0, 10], [9, 11]]


def test_many_equal_images_are_one_group_and_cost_no_more_than_one():
    """All pairs of them take 12 GB."""
    assert duplicates.near_groups([bytes(duplicates.BITS // 8)] * 20_000) == [0] * 20_000


def test_no_images_make_no_groups():
    assert duplicates.near_groups([]) == []
    assert duplicates.members([]) == []


def test_equal_digests_share_a_group():
    assert duplicates.exact_groups([b"a", b"b", b"a"]) == [0, 1, 0]


@pytest.mark.slow
def test_the_public_set_has_its_known_copies_and_no_false_one(shared_data):
    with zipfile.ZipFile(shared_data / "chest_xray_224.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")]
        prints = [duplicates.fingerprint(radiograph.decode(archive.read(n), 512)) for n in names]
    groups = duplicates.members(duplicates.near_groups(prints))
    of_train = [group for group in groups if "/train/" in names[group[0]]]
    assert (len(of_train), len(groups) - len(of_train)) == (24, 4)
