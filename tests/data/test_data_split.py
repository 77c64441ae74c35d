"""A split is what the data set's summary says, and what is no data set, or was one, is refused."""

import shutil

import numpy as np
import pytest
from etils import epath

from trainer.data import data_split
from trainer.system import json_files
from trainer.system.errors import DataLost, UsageError


def test_a_split_has_the_records_and_counts_of_the_summary(phantoms: epath.Path):
    summary = json_files.read(phantoms / "data_summary.json")
    split = data_split.open_split(phantoms, "test")
    described = summary["splits"]["test"]
    assert split.size == described["images"] == len(split.read(np.arange(split.size)))
    assert split.labels == summary["labels"]
    assert split.counts == [(n["positive"], n["negative"]) for n in described["per_label"].values()]


def test_a_path_without_a_data_set_is_refused(tmp_path: epath.Path):
    with pytest.raises(UsageError, match="radiograph prepare"):
        data_split.open_split(tmp_path, "train")


def test_records_that_can_no_longer_be_read_are_said_to_be_lost(phantoms: epath.Path, tmp_path):
    data = shutil.copytree(phantoms, tmp_path / "data")
    split = data_split.open_split(data, "test")
    for shard in data.rglob("*test.array_record*"):
        shard.write_bytes(b"")
    with pytest.raises(DataLost, match="split test"):
        data_split.open_split(data, "test").read(np.arange(split.size))
