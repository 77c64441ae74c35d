"""A source becomes a data set that is split by patient, whole or not there at all."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

from trainer.data import dataset, prepare, sources
from trainer.data.sources import Record
from trainer.entry import Refusal


def records(patients: int, split: str = "train", start: int = 0) -> list[Record]:
    return [
        Record(f"{p}-{i}", bytes, "NORMAL", f"IM-{p}", split)
        for p in range(start, start + patients)
        for i in range(2)
    ]


def home(splits: dict[str, list[Record]]) -> dict[str, str]:
    return {r.name: split for split, part in splits.items() for r in part}


def test_no_patient_is_in_two_splits():
    splits = prepare.split_by_patient(records(300) + records(50, "test", 1000))
    patients = {split: {r.patient for r in part} for split, part in splits.items()}
    assert not patients["train"] & patients["validation"]
    assert len(splits["test"]) == 100
    assert 0.05 < len(patients["validation"]) / 300 < 0.15


def test_adding_images_moves_nobody():
    before = home(prepare.split_by_patient(records(100) + records(50, "test", 1000)))
    after = home(prepare.split_by_patient(records(200) + records(80, "test", 1000)))
    assert before.items() <= after.items()


def test_without_a_test_folder_a_fifth_of_the_patients_is_the_test_split():
    splits = prepare.split_by_patient(records(500, split=""))
    assert 0.15 < len(splits["test"]) / 1000 < 0.25


def test_the_official_validation_joins_train_unless_kept():
    given = records(100) + records(20, "val", 500) + records(20, "test", 1000)
    kept = prepare.split_by_patient(given, keep_validation=True)
    assert {r.split for r in kept["validation"]} == {"val"}
    joined = prepare.split_by_patient(given)
    assert {r.split for r in joined["train"]} == {"train", "val"}


def test_a_patient_in_two_folders_is_refused():
    with pytest.raises(Refusal, match="patient IM-5 is in both"):
        prepare.split_by_patient(records(100) + records(1, "test", 5))


def test_a_finished_data_set_is_not_prepared_again(phantoms: epath.Path):
    shard = next(dataset.directory(phantoms).glob("*train*"))
    written = shard.stat().mtime
    source = sources.open_source("phantom:120")
    assert prepare.prepare(source, phantoms, max_side=128) == dataset.read_summary(phantoms)
    assert shard.stat().mtime == written


def test_another_data_set_is_not_overwritten(phantoms: epath.Path):
    with pytest.raises(Refusal, match="already holds a data set made from phantom:120"):
        prepare.prepare(sources.open_source("phantom:140"), phantoms)


def test_tfds_opens_what_was_prepared(phantoms: epath.Path):
    summary = dataset.read_summary(phantoms)
    loaded = tfds.data_source("radiographs", data_dir=phantoms, split="test")
    labels = [int(example["label"]) for example in loaded]
    per_class = summary["splits"]["test"]["per_class"]
    assert [labels.count(0), labels.count(1)] == [per_class[c] for c in summary["classes"]]
    builder = tfds.builder_from_directory(dataset.directory(phantoms))
    example = builder.as_data_source(split="train")[0]
    assert example["image"].dtype == np.uint8 and example["image"].shape[-1] == 1
    assert example["patient"].decode() == sources.patient_of(example["name"].decode())


def test_what_cannot_be_decoded_is_listed_and_left_out(tmp_path: Path):
    picture = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(picture, "JPEG")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for patient in range(60):
            folder = "train" if patient < 50 else "test"
            archive.writestr(f"{folder}/NORMAL/IM-{patient}-1.jpeg", picture.getvalue())
            archive.writestr(f"{folder}/SICK/person{patient}_virus_1.jpeg", picture.getvalue())
        archive.writestr("test/SICK/person99_virus_1.jpeg", b"a note, no picture")
    summary = prepare.prepare(
        sources.open_source(str(tmp_path / "set.zip")), epath.Path(tmp_path / "out")
    )
    assert summary["splits"]["test"]["per_class"] == {"NORMAL": 10, "SICK": 10}
    assert summary["skipped"] == [
        {
            "split": "test",
            "name": "test/SICK/person99_virus_1.jpeg",
            "reason": "not an image of a known format",
        }
    ]
    assert "person99_virus_1.jpeg: not an image" in prepare.describe(summary)


def test_three_classes_are_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number in range(90):
            archive.writestr(f"class{number % 3}/IM-{number}-1.jpeg", b"")
    with pytest.raises(Refusal, match="two are needed"):
        prepare.prepare(sources.open_source(str(tmp_path / "set.zip")), epath.Path(tmp_path / "o"))


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_looks_finished(tmp_path: Path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trainer.data.prepare", "--source=phantom:900", f"--out={out}"]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.rglob("*incomplete*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert list(out.rglob("*incomplete*")), "it was to be killed half way"
    assert dataset.read_summary(out) is None
    assert not dataset.directory(out).exists()
    summary = prepare.prepare(sources.open_source("phantom:120"), epath.Path(out))
    assert sum(split["images"] for split in summary["splits"].values()) == 120
    assert not list(out.rglob("*incomplete*"))


def test_the_real_set_is_split_as_its_patients_are(shared_data: Path):
    source = sources.open_source(str(shared_data / "chest_xray_224.zip"))
    splits = prepare.split_by_patient(list(source.records()))
    sizes = {split: len(part) for split, part in splits.items()}
    assert sizes["train"] + sizes["validation"] == 5216 and sizes["test"] == 310
    patients = {r.patient for split in ("train", "validation") for r in splits[split]}
    assert len(patients) == 1353 + 1090 + 518 + 693
