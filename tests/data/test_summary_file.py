"""The summary of a data set says where it lies, what it is, and whether it was changed."""

import json
from pathlib import Path

import pytest
from etils import epath

from trainer.data import summary_file
from trainer.system.errors import UsageError


def test_a_path_into_a_data_set_leads_to_it(phantoms: epath.Path, tmp_path: Path):
    inside = (phantoms, phantoms / summary_file.NAME, summary_file.directory(phantoms))
    assert {summary_file.root(path) for path in inside} == {phantoms}
    other = tmp_path / summary_file.NAME
    assert summary_file.root(other) == epath.Path(other)


def test_the_fingerprint_is_that_of_labels_splits_and_shards(phantoms: epath.Path, tmp_path: Path):
    summary = summary_file.read(phantoms)
    older = {name: value for name, value in summary.items() if name != "dataset_fingerprint"}
    summary_file.write(tmp_path, older | {"source": "moved", "fingerprint": "of the source"})
    fingerprint = summary["dataset_fingerprint"]
    assert summary_file.read(tmp_path)["dataset_fingerprint"] == fingerprint
    shards = [dict(shard) for shard in older["shards"]]
    shards[-1]["sha256"] = "0"
    changes = ({"labels": ["other"]}, {"splits": {}}, {"shards": shards}, {"exclusive": True})
    for change in changes:
        assert summary_file.with_fingerprint(older | change)["dataset_fingerprint"] != fingerprint


def test_a_damaged_summary_is_refused(tmp_path: Path):
    (tmp_path / summary_file.SUMMARY).write_text('{"labels": [')
    with pytest.raises(UsageError, match="is damaged.*prepare the data set again"):
        summary_file.read(tmp_path)


def test_summary_that_was_changed_is_refused_and_one_without_a_digest_is_not(
    phantoms: epath.Path, tmp_path: Path
):
    text = (phantoms / summary_file.SUMMARY).read_text()
    file = tmp_path / summary_file.SUMMARY
    for old, new in (('"positive"', '"negative"'), ("NORMAL", "NORMAK"), ("images", "imagez")):
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match="is damaged.*digest"):
            summary_file.read(tmp_path)
    content = json.loads(text)
    digest = content.pop(summary_file.DIGEST)
    file.write_text(json.dumps(content))  # as earlier versions wrote it
    assert summary_file.read(tmp_path) == content
    file.write_text(json.dumps({summary_file.DIGEST: digest} | content))  # another order and layout
    assert summary_file.read(tmp_path)[summary_file.DIGEST] == digest


def test_without_a_summary_there_is_no_data_set(tmp_path: Path):
    assert summary_file.read(tmp_path) is None
