"""The name decides what kind of source is opened."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from trainer.data import sources
from trainer.data.sources import Options, public_sets
from trainer.system.errors import UsageError


@pytest.fixture
def archive(tmp_path: Path) -> str:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr("train/normal/1.png", "1")
        file.writestr("test/sick/2.png", "2")
    return str(tmp_path / "set.zip")


@pytest.mark.parametrize(
    "name", ["phantom:", "phantom:3", "phantom:x", "nowhere.zip", "medmnist:nowhere.npz"]
)
def test_a_source_that_is_none_is_refused(name: str):
    with pytest.raises(UsageError, match=name):
        sources.open_source(name)


@pytest.mark.parametrize("name", ["t.xlsx", "t.json", "T.PARQUET", "covidx.txt"])
def test_a_table_of_another_kind_is_refused_with_the_way_out(name: str):
    with pytest.raises(UsageError, match=f"{name} is not a table that is read: save it as CSV"):
        sources.open_source(name)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("set.npy", "numpy.savez"),
        ("SET.H5", "numpy.savez"),
        ("scan.nii.gz", "as PNG, with nibabel"),
        ("train-00.tfrecord", "tensorflow.data.TFRecordDataset"),
    ],
)
def test_arrays_and_records_are_refused_with_the_way_in(name: str, way: str):
    with pytest.raises(UsageError, match=f"--source={name} is not read: write .*{way}"):
        sources.open_source(name)


def test_arrays_are_read_as_numpy_writes_them(tmp_path: Path):
    images, labels = np.zeros((4, 20, 20), np.uint8), np.array([[0], [1], [1], [0]])
    np.savez(tmp_path / "set.npz", train_images=images, train_labels=labels)
    source = sources.open_source(str(tmp_path / "set.npz"))
    assert [record.labels for record in source.records()] == [(0,), (1,), (1,), (0,)]
    np.savez(tmp_path / "other.npz", x=images)
    with pytest.raises(UsageError, match="it should hold train_images .* uint8 and train_labels"):
        sources.open_source(str(tmp_path / "other.npz"))


def test_what_cannot_be_opened_is_refused(archive: str, monkeypatch: pytest.MonkeyPatch):
    def closed(path: epath.Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(epath.Path(archive)), "open", closed)
    with pytest.raises(UsageError, match="cannot be read: .*Permission denied"):
        sources.open_source(archive)


def test_names_become_printable_and_their_files_are_found(tmp_path: Path):
    names = ["normal/1\x1b[2J.png", "normal/2\r.png", "sick/3.png"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for name in names:
            file.writestr(name, name)
    source = sources.open_source(str(tmp_path / "set.zip"))
    records = source.records()
    assert [source.read(record).decode() for record in records] == names
    assert all(record.name.isprintable() and record.patient.isprintable() for record in records)


def test_label_that_cannot_be_shown_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for name in ("a\x1b[2J/1.png", "normal/2.png"):
            file.writestr(name, "1")
    with pytest.raises(UsageError, match="label 'a"):
        sources.open_source(str(tmp_path / "set.zip"))


def test_options_of_tables_are_refused_elsewhere(archive: str):
    with pytest.raises(UsageError, match="--image_root is for tables"):
        sources.open_source(archive, Options(image_root="images"))


def test_two_ways_to_find_the_patient_are_refused():
    with pytest.raises(UsageError, match="give one"):
        sources.open_source("set.csv", Options(patient_column="p", patient_regex="p"))


def test_what_is_asked_changes_the_fingerprint(archive: str):
    fingerprint = sources.open_source(archive).fingerprint
    assert sources.open_source(archive).fingerprint == fingerprint
    by_pattern = Options(patient_regex=r"\d")
    assert sources.open_source(archive, by_pattern).fingerprint != fingerprint


def test_a_public_set_is_downloaded_into_the_cache_folder(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def fetch(wanted: public_sets.Download, folder: Path) -> Path:
        asked.append((wanted.file, folder))
        return Path(archive)

    monkeypatch.setattr(public_sets, "fetch", fetch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = sources.open_source("kermany")
    assert asked == [("ChestXRay2017.zip", tmp_path / "cache" / "radiograph-trainer")]
    assert (source.name, source.classes) == ("kermany", ("normal", "sick"))
