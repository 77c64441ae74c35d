"""MedMNIST files are read image by image, with their own splits."""

import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.data import sources
from trainer.data.sources import medmnist
from trainer.data.sources.image_record import Source
from trainer.system.errors import UsageError

COUNTS = {"train": 6, "val": 2, "test": 4}


def arrays(classes: int = 2, columns: int = 1, shape: tuple[int, ...] = (28, 28)) -> dict:
    rng = np.random.default_rng(0)
    found = {}
    for split, count in COUNTS.items():
        found[f"{split}_images"] = rng.integers(0, 256, (count, *shape)).astype(np.uint8)
        found[f"{split}_labels"] = np.arange(count * columns).reshape(count, columns) % classes
    return found


def opened(path: Path, content: dict, packed: bool = True) -> Source:
    (np.savez_compressed if packed else np.savez)(path, **content)
    return sources.open_source(f"medmnist:{path}")


def pixels(source: Source, number: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(source.read(source.records()[number]))))


@pytest.mark.parametrize("shape", [(28, 28), (64, 48), (28, 28, 3)])
@pytest.mark.parametrize("packed", [True, False])
def test_pixels_and_splits(tmp_path: Path, shape: tuple[int, ...], packed: bool):
    content = arrays(shape=shape)
    source = opened(tmp_path / "pneumoniamnist.npz", content, packed)
    records = source.records()
    assert [r.name for r in records][5:8] == ["train/000005", "val/000000", "val/000001"]
    assert [r.split for r in records] == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    assert not source.identifying and not any(r.patient for r in records)
    images = np.concatenate([content[f"{split}_images"] for split in COUNTS])
    for number in (0, 3, 11, 7, 1):  # forwards and backwards
        np.testing.assert_array_equal(pixels(source, number), images[number])


def test_blocks_that_are_no_longer_kept_are_read_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(medmnist, "BLOCK_BYTES", 2 * 784)
    monkeypatch.setattr(medmnist, "BLOCKS_KEPT", 1)
    content = arrays()
    source = opened(tmp_path / "a.npz", content)
    for number in (5, 0, 3, 2, 4):
        np.testing.assert_array_equal(pixels(source, number), content["train_images"][number])


def test_two_classes_are_one_label_and_more_are_one_each(tmp_path: Path):
    source = opened(tmp_path / "pneumoniamnist_64.npz", arrays())
    assert source.labels == ("pneumonia",) and source.classes == ("normal", "pneumonia")
    assert [r.labels for r in source.records()][:3] == [(0,), (1,), (0,)]
    assert opened(tmp_path / "own.npz", arrays()).classes == ("class 0", "class 1")
    source = opened(tmp_path / "own3.npz", arrays(classes=3))
    assert source.labels == ("class 0", "class 1", "class 2") and source.classes == ()
    assert [r.labels for r in source.records()][:3] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    source = opened(tmp_path / "chestmnist.npz", arrays(columns=14))
    assert len(source.labels) == 14 and source.labels[13] == "hernia"
    assert source.records()[0].labels == (0, 1) * 7


def test_it_says_how_it_was_read(tmp_path: Path):
    source = opened(tmp_path / "pneumoniamnist.npz", arrays())
    described = source.reading.describe(source.name)
    assert "of the arrays *_labels" in described and "pneumonia = 1, the finding" in described
    for split, count in COUNTS.items():
        assert re.search(rf"split {split} +{count}  {split}/000000", described)


def test_it_can_be_sent_to_another_process_and_its_content_changes_the_fingerprint(tmp_path: Path):
    source = opened(tmp_path / "a.npz", arrays())
    source.read(source.records()[0])
    sent = pickle.loads(pickle.dumps(source))
    assert sent.read(sent.records()[4]) == source.read(source.records()[4])
    one, two = arrays(), arrays()
    two["val_images"][0, 0, 0] ^= 1
    first = opened(tmp_path / "one.npz", one).fingerprint
    assert opened(tmp_path / "same.npz", one).fingerprint == first
    assert opened(tmp_path / "two.npz", two).fingerprint != first


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train_images": np.zeros((6, 28, 28))}, "train_images is float64"),
        ({"train_images": np.zeros((6, 28), np.uint8)}, "instead of uint8 .N, H, W."),
        ({"train_images": np.zeros((5, 28, 28), np.uint8)}, "train_labels is int64 .6, 1."),
        ({"val_labels": np.array([[None], [1]])}, "val_labels is object"),
        ({"val_labels": np.array([[-1], [1]])}, "values that are not labels"),
        ({"val_labels": np.array([[10**9], [1]])}, "values that are not labels"),
        ({f"{split}_labels": np.zeros((n, 1), int) for split, n in COUNTS.items()}, "one class"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, change: dict, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        opened(tmp_path / "a.npz", arrays() | change)


def test_incomplete_files_are_refused(tmp_path: Path):
    content = arrays()
    del content["test_labels"]
    with pytest.raises(UsageError, match="test_labels"):
        opened(tmp_path / "a.npz", content)
    with pytest.raises(UsageError, match="has no train_images"):
        opened(tmp_path / "b.npz", {"x": np.zeros(3)})
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:1000])
    with pytest.raises(UsageError, match="not a complete .npz file"):
        sources.open_source(f"medmnist:{tmp_path / 'c.npz'}")


def test_damaged_pixels_cannot_be_read(tmp_path: Path):
    content = arrays(shape=(224, 224))
    np.savez_compressed(tmp_path / "a.npz", **content)
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[100_000:100_100] = bytes(100)
    (tmp_path / "a.npz").write_bytes(raw)
    source = sources.open_source(f"medmnist:{tmp_path / 'a.npz'}")
    with pytest.raises(OSError, match="damaged in the archive"):
        source.read(source.records()[0])
