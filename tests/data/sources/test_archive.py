"""Archives are read in place; what could do harm in them is listed and never opened."""

import io
import multiprocessing
import pickle
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import files
from trainer.system.errors import UsageError

GOOD = {"train/NORMAL/1.png": b"one", "train/SICK/2.png": b"two"}


def archive_of(path: Path, members: dict[str | zipfile.ZipInfo, bytes], **how: int) -> str:
    with zipfile.ZipFile(path, "w", **how) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return str(path)


def encrypted(path: Path, *names: str) -> str:
    """Sets the flag that says so, in both headers of the named members, or of all."""
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if not names or m.filename in names]
        offsets = [m.header_offset + 6 for m in members]
    content = bytearray(path.read_bytes())
    for member in members:
        offsets.append(content.rindex(member.filename.encode()) - 46 + 8)
    for offset in offsets:
        content[offset] |= 1
    path.write_bytes(content)
    return str(path)


def reasons(name: str) -> dict[str, str]:
    return {r.name: r.refused for r in sources.open_source(name).records()}


def test_members_are_read_by_record(tmp_path: Path):
    source = sources.open_source(archive_of(tmp_path / "set.zip", GOOD))
    assert {r.name: source.read(r) for r in source.records()} == GOOD


def test_an_archive_that_changed_has_another_fingerprint(tmp_path: Path):
    one = archive_of(tmp_path / "one.zip", GOOD)
    two = archive_of(tmp_path / "two.zip", GOOD | {"train/SICK/2.png": b"TWO"})
    assert sources.open_source(one).fingerprint == sources.open_source(one).fingerprint
    assert sources.open_source(one).fingerprint != sources.open_source(two).fingerprint


def test_a_folder_of_archives_is_one_set(tmp_path: Path):
    archive_of(tmp_path / "train.zip", {"NORMAL/1.png": b"1", "SICK/2.png": b"2"})
    archive_of(tmp_path / "test.zip", {"NORMAL/1.png": b"3"})
    source = sources.open_source(str(tmp_path))
    content = {(r.split, r.name): source.read(r) for r in source.records()}
    assert content == {
        ("test", "test/NORMAL/1.png"): b"3",
        ("train", "train/NORMAL/1.png"): b"1",
        ("train", "train/SICK/2.png"): b"2",
    }


def test_members_that_leave_the_archive_are_listed_and_refused(tmp_path: Path):
    bad = ("../train/SICK/1.png", "/train/SICK/2.png", "C:\\train\\SICK\\3.png")
    name = archive_of(tmp_path / "set.zip", GOOD | dict.fromkeys(bad, b"x"))
    assert reasons(name) == dict.fromkeys(GOOD, "") | {
        "../train/SICK/1.png": "its path leaves the archive",
        "/train/SICK/2.png": "its path is absolute",
        "C:/train/SICK/3.png": "its path is absolute",
    }


def test_links_nested_archives_and_odd_compression_are_refused(tmp_path: Path):
    link = zipfile.ZipInfo("train/SICK/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo("train/SICK/packed.png")
    packed.compress_type = zipfile.ZIP_BZIP2
    name = archive_of(
        tmp_path / "set.zip", GOOD | {link: b"/etc/passwd", packed: b"x", "train/SICK/a.zip": b"x"}
    )
    found = reasons(name)
    assert found["train/SICK/link.png"] == "a symbolic link"
    assert found["train/SICK/a.zip"] == "an archive within the archive: unpack it first"
    assert found["train/SICK/packed.png"].startswith("compressed by an unsupported method")


def test_of_a_name_that_is_there_twice_the_first_counts(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in GOOD.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("train/SICK/2.png", b"another")
    source = sources.open_source(str(tmp_path / "set.zip"))
    records = {r.name: r for r in source.records()}
    assert source.read(records["train/SICK/2.png"]) == b"two"
    assert [r.refused for n, r in records.items() if n not in GOOD] == [
        "the archive has this name twice: the first is taken"
    ]


def test_a_bomb_is_stopped_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    bomb = {"train/SICK/3.png": bytes(100_000)}
    name = archive_of(tmp_path / "set.zip", GOOD | bomb, compression=zipfile.ZIP_DEFLATED)
    assert reasons(name)["train/SICK/3.png"].startswith("larger than")
    content = bytearray(Path(name).read_bytes())
    size = (100_000).to_bytes(4, "little")
    at = content.rindex(size)
    content[at : at + 4] = (1_000_000 // 2000).to_bytes(4, "little")  # 500, a lie
    Path(name).write_bytes(content)
    source = sources.open_source(name)
    (record,) = (r for r in source.records() if r.name == "train/SICK/3.png")
    assert not record.refused
    with pytest.raises(OSError, match="damaged"):
        source.read(record)


def test_more_than_the_limit_is_never_returned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert files.within_limit(bytes(10), "a") == bytes(10)
    with pytest.raises(OSError, match="a holds more than"):
        files.within_limit(bytes(11), "a")


def test_a_damaged_member_cannot_be_read(tmp_path: Path):
    name = archive_of(tmp_path / "set.zip", GOOD)
    Path(name).write_bytes(Path(name).read_bytes().replace(b"two", b"tw0"))
    source = sources.open_source(name)
    good, bad = source.records()
    assert source.read(good) == b"one"
    with pytest.raises(OSError, match="damaged in the archive .*CRC"):
        source.read(bad)


def test_a_damaged_stream_cannot_be_read(tmp_path: Path):
    content = {"train/SICK/2.png": bytes(range(256)) * 9}
    name = archive_of(tmp_path / "set.zip", GOOD | content, compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(Path(name).read_bytes())
    at = raw.index(b"train/SICK/2.png") + 16
    raw[at : at + 8] = b"\xff" * 8
    Path(name).write_bytes(raw)
    source = sources.open_source(name)
    with pytest.raises(OSError, match="damaged in the archive"):
        source.read(source.records()[1])


def test_an_encrypted_member_is_refused(tmp_path: Path):
    archive_of(tmp_path / "set.zip", GOOD | {"train/SICK/3.png": b"3"})
    name = encrypted(tmp_path / "set.zip", "train/SICK/3.png")
    assert reasons(name) == dict.fromkeys(GOOD, "") | {"train/SICK/3.png": "encrypted"}


def test_an_encrypted_archive_is_refused(tmp_path: Path):
    archive_of(tmp_path / "set.zip", GOOD)
    with pytest.raises(UsageError, match="is encrypted: unpack it with its password"):
        sources.open_source(encrypted(tmp_path / "set.zip"))


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path):
    name = archive_of(tmp_path / "set.zip", GOOD)
    Path(name).write_bytes(Path(name).read_bytes()[:-30])
    with pytest.raises(UsageError, match="damaged or incomplete: download it again"):
        sources.open_source(name)


def test_an_archive_with_damaged_directory_is_refused(tmp_path: Path):
    name = archive_of(tmp_path / "set.zip", GOOD)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content.replace(b"PK\x01\x02", b"PK\x09\x09"))
    with pytest.raises(UsageError, match="damaged or incomplete"):
        sources.open_source(name)


def test_a_tar_archive_is_refused_with_what_to_do(tmp_path: Path):
    for file, mode in (("set.tar", "w"), ("set.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / file, mode) as archive:
            archive.addfile(tarfile.TarInfo("train/a/1.png"), io.BytesIO())
        with pytest.raises(UsageError, match="unpack it first and give the folder"):
            sources.open_source(str(tmp_path / file))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path):
    (tmp_path / "set.zip").write_text("no archive")
    with pytest.raises(UsageError, match="not a zip archive"):
        sources.open_source(str(tmp_path / "set.zip"))


def _content(source: sources.Source) -> dict[str, bytes]:
    return {r.name: source.read(r) for r in source.records()}


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_read_it_at_the_same_time(tmp_path: Path, start: str):
    members = {f"{c}/{n}.png": str(n).encode() * 5000 for n in range(50) for c in ("a", "b")}
    source = sources.open_source(archive_of(tmp_path / "set.zip", members))
    assert _content(source) == members  # the parent has it open
    if start == "spawn":
        assert _content(pickle.loads(pickle.dumps(source))) == members
        return
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_content, [source] * 6) == [members] * 6


def test_the_public_archive(shared_data: Path):
    source = sources.open_source(str(shared_data / "chest_xray_224.zip"))
    records = source.records()
    assert [sum(r.split == s for r in records) for s in ("train", "test")] == [5216, 310]
    patients = {
        split: {r.patient for r in records if r.split == split} for split in ("train", "test")
    }
    assert "" not in patients["train"] and not patients["train"] & patients["test"]
    assert source.classes == ("NORMAL", "PNEUMONIA")
