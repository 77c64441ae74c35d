"""On Apache Beam the same records come out as on this machine."""

import shutil
import sys
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from etils import epath

from trainer.data import sources, summary_file
from trainer.data.prepare import beam_backend, preparation
from trainer.system.errors import UsageError

SOURCE = "phantom:120"


def examples(out: Path, split: str) -> dict[bytes, tuple]:
    found = tfds.data_source(
        "radiographs",
        data_dir=out,
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return {e["name"]: (e["patient"], tuple(e["labels"]), e["image"]) for e in found}


@pytest.mark.slow
def test_the_direct_runner_gives_the_same_records(phantoms: epath.Path, tmp_path: Path):
    pytest.importorskip("apache_beam", reason="needs Apache Beam, of requirements/beam.txt")
    out = epath.Path(tmp_path / "out")
    given = sources.open_source(SOURCE)
    summary = preparation.prepare(given, out, max_side=128, runner="DirectRunner")
    for split in summary_file.SPLITS:
        assert examples(out, split) == examples(phantoms, split)
    assert summary["splits"] == summary_file.read(phantoms)["splits"]
    left = {path.name for path in out.iterdir()} - {".radiograph-trainer.lock"}
    assert left == {summary_file.NAME, summary_file.SUMMARY}


@pytest.mark.slow
def test_what_a_beam_worker_cannot_decode_is_listed(tmp_path: Path):
    pytest.importorskip("apache_beam", reason="needs Apache Beam, of requirements/beam.txt")
    drawn = sources.open_source("phantom:60")
    for n, record in enumerate(drawn.records()):
        name = "pneumonia" if record.labels[0] else "normal"
        file = tmp_path / "set" / name / f"IM-{n:04}-1.jpeg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(drawn.read(record))
    shutil.copy(__file__, tmp_path / "set" / "pneumonia" / "IM-0999-1.jpeg")
    source = sources.open_source(str(tmp_path / "set"))
    found = [
        preparation.prepare(source, epath.Path(tmp_path / out), runner=runner, max_skipped=0.1)
        for out, runner in (("beam", "DirectRunner"), ("local", ""))
    ]
    assert found[0]["skipped"] == found[1]["skipped"] and len(found[0]["skipped"]) == 1


def test_without_beam_the_runner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(UsageError, match=r"not installed: .* requirements/beam\.txt"):
        preparation.prepare(
            sources.open_source(SOURCE), epath.Path(tmp_path / "out"), runner="DirectRunner"
        )
    assert not (tmp_path / "out").exists()


def test_what_workers_are_left_is_read_back_in_parts(tmp_path: Path):
    items = list(range(2 * beam_backend.PART + 5))
    files = beam_backend.write_parts(epath.Path(tmp_path / "parts"), items)
    assert len(files) == 3
    assert [item for file in files for item in beam_backend.read_part(file)] == items
