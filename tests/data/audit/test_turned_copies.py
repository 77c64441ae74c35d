"""A copy is found however it was turned, and other patients are not taken for copies."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainer.data import duplicates
from trainer.data.audit import turned_copies
from trainer.data.decode import radiograph
from trainer.data.synthetic import phantom

Turn = Image.Transpose
TURNS = {
    **{turn.name: lambda image, turn=turn: image.transpose(turn) for turn in Turn},
    **{
        f"{angle} degrees": lambda image, angle=angle: image.rotate(angle)
        for angle in (-11, -6.2, 1.2, 3.8, 9)
    },
    "mirrored and turned": lambda image: ImageOps.mirror(image).rotate(6),
    "turned and compressed": lambda image: compressed(image.rotate(-3).resize((224, 224))),
}


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


@pytest.fixture(scope="module")
def radiographs() -> list[np.ndarray]:
    """The first image of each of some phantoms."""
    by_patient = {}
    for name, data in phantom.archive(24):
        by_patient.setdefault(name.rsplit("_", 1)[0].rsplit("-", 1)[0], data)
    return [radiograph.decode(data, 256) for data in by_patient.values()]


def groups_of(images: list[np.ndarray]) -> list[int]:
    prints = [duplicates.fingerprint(pixels) for pixels in images]
    turned = [turned_copies.turned_fingerprints(pixels) for pixels in images]
    return turned_copies.groups(duplicates.near_groups(prints), prints, turned)


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_copy_is_in_the_group_of_its_original(radiographs: list[np.ndarray], turn: str):
    originals = radiographs[:4]
    copies = [
        np.asarray(TURNS[turn](Image.fromarray(pixels[..., 0])))[..., None] for pixels in originals
    ]
    found = groups_of([*originals, *copies])
    assert found[:4] == found[4:] and len(set(found)) == 4


def test_other_patients_are_not_taken_for_turned_copies(radiographs: list[np.ndarray]):
    assert len(set(groups_of(radiographs))) == len(radiographs)


def test_near_copies_of_a_turned_one_and_equal_ones_share_its_group(
    radiographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(turned_copies, "BLOCK", 2)
    monkeypatch.setattr(turned_copies, "PAIRS", 1)
    first, second = radiographs[:2]
    mirrored = np.ascontiguousarray(first[:, ::-1])
    brighter = np.minimum(mirrored.astype(int) + 9, 255).astype(np.uint8)
    assert groups_of([first, second, mirrored, brighter, second]) == [0, 1, 0, 0, 1]


def test_no_images_make_no_groups():
    assert turned_copies.groups([], [], []) == []
