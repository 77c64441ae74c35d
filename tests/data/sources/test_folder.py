"""Folders are listed once, with what links lead to; circles and pipes do not hang."""

import os
import pickle
from pathlib import Path

import pytest
from etils import epath

from trainer.data import sources
from trainer.data.sources import files
from trainer.data.sources.folder import Folder
from trainer.system.errors import UsageError


def fill(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return str(folder)


def test_a_folder_is_read_and_its_content_changes_the_fingerprint(tmp_path: Path):
    name = fill(tmp_path, "train/NORMAL/a.png", "val/SICK/b.png", "test/SICK/c.png")
    source = sources.open_source(name)
    assert [(r.split, r.labels, r.name) for r in source.records()] == [
        ("test", (1,), "test/SICK/c.png"),
        ("train", (0,), "train/NORMAL/a.png"),
        ("val", (1,), "val/SICK/b.png"),
    ]
    sent = pickle.loads(pickle.dumps(source))
    assert sent.read(source.records()[0]) == b"test/SICK/c.png"
    assert sources.open_source(name).fingerprint == source.fingerprint
    (tmp_path / "test/SICK/c.png").write_bytes(b"another")
    assert sources.open_source(name).fingerprint != source.fingerprint
    (tmp_path / "test/SICK/c.png").unlink()
    with pytest.raises(OSError):
        source.read(source.records()[0])


def test_links_pipes_and_unreadable_names_are_refused(tmp_path: Path, caplog):
    fill(tmp_path / "set", "sick/a.png", "healthy/b.png", "sick/ü.png")
    (tmp_path / "set/sick/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/sick/circle.png").symlink_to("circle.png")
    (tmp_path / "set/sick/gone.png").symlink_to("nowhere.png")
    (tmp_path / "set/sick/sound.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "set/sick/pipe.png")
    (tmp_path / "set" / os.fsdecode(b"sick/\xff.png")).touch()
    source = sources.open_source(str(tmp_path / "set"))
    assert {r.name: r.refused for r in source.records()} == {
        "healthy/b.png": "",
        "sick/?.png": "its name is not UTF-8 text: rename it",
        "sick/a.png": "",
        "sick/circle.png": "a link in a circle",
        "sick/gone.png": "a broken link",
        "sick/pipe.png": "not a regular file",
        "sick/sound.png": "",
        "sick/ü.png": "",
    }
    assert "set/sick/up links to a folder that is read elsewhere" in caplog.text


def test_linked_folders_are_read_once_and_under_their_own_place_where_they_have_one(tmp_path: Path):
    fill(tmp_path / "real", "sick/a.png", "sick/deep/b.png", "healthy/c.png")
    fill(tmp_path / "set", "healthy/d.png", "zzz/e.png")
    (tmp_path / "set/first").symlink_to(tmp_path / "set/zzz")
    (tmp_path / "set/sick").symlink_to(tmp_path / "real/sick")
    (tmp_path / "set/sick2").symlink_to(tmp_path / "real/sick")
    (tmp_path / "set/up").symlink_to(tmp_path)
    (tmp_path / "real/sick/circle").symlink_to(tmp_path / "real/sick")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for source in ("set", "link"):
        found = Folder(epath.Path(tmp_path / source))
        assert list(found.stamps) == ["healthy/d.png", "sick/a.png", "sick/deep/b.png", "zzz/e.png"]
        assert found.read("sick/deep/b.png") == b"sick/deep/b.png"


def test_files_of_one_name_and_size_are_copies_only_if_their_bytes_are_equal(tmp_path: Path):
    name = fill(tmp_path, "siteA/no/1.png", "siteB/no/1.png", "siteA/ill/2.png", "siteB/ill/2.png")
    (tmp_path / "siteB/ill/2.png").write_bytes(b"siteA/ill/2.png")
    found = [record.name for record in sources.open_source(name).records()]
    assert found == ["siteA/ill/2.png", "siteA/no/1.png", "siteB/no/1.png"]


def test_a_file_that_is_too_large_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path, "a/image.png")
    monkeypatch.setattr(files, "MAX_BYTES", 3)
    with pytest.raises(OSError, match="a/image.png holds more than"):
        Folder(epath.Path(tmp_path)).read("a/image.png")


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no images in class folders"):
        sources.open_source(str(tmp_path))


def test_a_bucket_is_listed_with_no_request_a_file(monkeypatch: pytest.MonkeyPatch):
    bucket = epath.Path("gs://bucket/set")
    listed = ("notes.txt", "sick", "sick/", "sick/a.png", "sick/deep", "sick/deep/b.png")

    def glob(path: epath.Path, pattern: str) -> list[epath.Path]:
        return [path / name for name in listed if name.count("/") == pattern.count("/")]

    monkeypatch.setattr(type(bucket), "glob", glob)
    monkeypatch.setattr(type(bucket), "stat", lambda path: pytest.fail("asked for one file"))
    assert list(Folder(bucket).stamps) == ["notes.txt", "sick/a.png", "sick/deep/b.png"]
