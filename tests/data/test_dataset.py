"""What is written can be counted, verified and opened again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from trainer.data import data_split, dataset, sources, summary_file
from trainer.data.decode import recode
from trainer.data.sources import ImageRecord


def build(folder: Path, splits: dict[str, list[ImageRecord]], labels: list[str]) -> epath.Path:
    """Writes records that all have the same image, and returns the folder of the shards."""
    source = sources.open_source("phantom:20")
    image = recode.recode(source.read(source.records()[0]), 64)
    generate = {
        split: lambda records=records: (dataset.example(record, image) for record in records)
        for split, records in splits.items()
    }
    tfds.disable_progress_bar()
    dataset.Radiographs(folder, labels, [], generate=generate).download_and_prepare()
    return summary_file.directory(folder)


def counted(folder: epath.Path, labels: list[str]) -> dict[str, dict]:
    splits = {n: dataset.read_metadata(folder, n, len(labels)) for n in summary_file.SPLITS}
    return dataset.contents(splits, labels)


def test_the_counts_are_those_of_what_was_written(tmp_path: Path):
    written = {
        "train": [ImageRecord(f"a{n}", (n % 2, -1), f"A{n // 3}") for n in range(9)],
        "validation": [ImageRecord("b", (0, 1), "B")],
        "test": [ImageRecord("c", (1, 0), "C"), ImageRecord("d", (1, 1), "D")],
    }
    counts = counted(build(tmp_path, written, ["mass", "nodule"]), ["mass", "nodule"])
    assert {split: c["images"] for split, c in counts.items()} == {
        "train": 9,
        "validation": 1,
        "test": 2,
    }
    assert counts["train"]["patients"] == 3 and counts["test"]["patients"] == 2
    assert counts["train"]["per_label"] == {
        "mass": {"positive": 4, "negative": 5, "unknown": 0},
        "nodule": {"positive": 0, "negative": 0, "unknown": 9},
    }
    assert counts["test"]["per_label"]["nodule"] == {"positive": 1, "negative": 1, "unknown": 0}


def test_a_patient_written_to_two_splits_is_noticed(tmp_path: Path):
    written = {split: [ImageRecord(split, (0,), f"P-{split}")] for split in summary_file.SPLITS}
    written["test"].append(ImageRecord("again", (0,), "P-train"))
    with pytest.raises(AssertionError, match="P-train was written to both train and test"):
        counted(build(tmp_path, written, ["mass"]), ["mass"])


def test_tfds_opens_several_labels(tmp_path: Path):
    written = {split: [ImageRecord(split, (1, 0, -1), split)] for split in summary_file.SPLITS}
    folder = build(tmp_path, written, ["mass", "nodule", "hernia"])
    builder = tfds.builder_from_directory(folder)
    example = builder.as_data_source(split="test")[0]
    np.testing.assert_array_equal(example["labels"], [1, 0, -1])
    assert example["image"].dtype == np.uint8 and example["image"].shape[-1] == 1
    assert builder.info.metadata["labels"] == ["mass", "nodule", "hernia"]


def test_equal_examples_are_equal_bytes(phantoms: epath.Path):
    split = data_split.open_split(phantoms, "train")
    for stored in split.read(np.arange(split.size)):
        example = tf.train.Example.FromString(stored)
        assert example.SerializeToString(deterministic=True) == stored


def test_classes_that_exclude_one_another_are_named_in_the_info(tmp_path: Path):
    for exclusive in (False, True):
        folder = tmp_path / str(exclusive)
        builder = dataset.Radiographs(folder, "ABC", [], generate={}, exclusive=exclusive)
        assert ("exclusive" in builder.info.metadata) == exclusive


def test_a_damaged_file_has_another_checksum(tmp_path: Path):
    file = tmp_path / "shard"
    file.write_bytes(b"abc")
    (described,) = dataset.shards(epath.Path(tmp_path))
    # of FIPS 180-2, appendix B.1
    assert described == {
        "file": "shard",
        "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }
    file.write_bytes(b"abd")
    assert dataset.shards(epath.Path(tmp_path)) != [described]


def test_data_set_opens_whatever_module_prepared_it(phantoms: epath.Path, tmp_path: Path):
    """tfds records the builder's module, and modules move between versions."""
    copy = epath.Path(tmp_path / "copy")
    shutil.copytree(phantoms, copy)
    info = summary_file.directory(copy) / "dataset_info.json"
    recorded = json.loads(info.read_text())
    assert recorded["moduleName"] == "trainer.data.dataset"
    info.write_text(json.dumps(recorded | {"moduleName": "trainer.module_that_is_gone"}))
    assert data_split.open_split(copy, "test").size == data_split.open_split(phantoms, "test").size
    assert len(tfds.data_source("radiographs", data_dir=copy, split="test")) > 0
