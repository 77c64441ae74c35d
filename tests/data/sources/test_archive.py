"""Archives are read in place; members that could do harm are listed and never opened."""

import io
import pickle
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import files
from trainer.system.errors import UsageError

GOOD = {"train/NORMAL/1.png": b"one", "train/SICK/2.png": b"two"}


def archive_of(path: Path, members: dict[str | zipfile.ZipInfo, bytes], **options: int) -> str:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return str(path)


def encrypted(path: Path, *names: str) -> str:
    """Sets the encryption flag in both headers of the named members, or of all."""
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


def content_of(source: sources.Source) -> dict[str, bytes]:
    return {r.name: source.read(r) for r in source.records()}


def test_members_are_read_and_change_the_fingerprint(tmp_path: Path):
    one = sources.open_source(archive_of(tmp_path / "one.zip", GOOD))
    other = archive_of(tmp_path / "two.zip", GOOD | {"train/SICK/2.png": b"TWO"})
    assert content_of(one) == GOOD
    assert one.fingerprint == sources.open_source(one.name).fingerprint
    assert one.fingerprint != sources.open_source(other).fingerprint


def test_a_folder_of_archives_is_one_set(tmp_path: Path):
    archive_of(tmp_path / "train.zip", {"NORMAL/1.png": b"1", "SICK/2.png": b"2"})
    archive_of(tmp_path / "test.zip", {"NORMAL/1.png": b"3"})
    for document in (
        "README",
        "README.md",
        "LICENSE",
        "sums.md5",
        "Icon\r",
        ".DS_Store",
        "Thumbs.db",
    ):
        (tmp_path / document).touch()
    source = sources.open_source(str(tmp_path))
    content = {(r.split, r.name): source.read(r) for r in source.records()}
    assert content == {
        ("test", "test/NORMAL/1.png"): b"3",
        ("train", "train/NORMAL/1.png"): b"1",
        ("train", "train/SICK/2.png"): b"2",
    }


def test_harmful_members_are_listed_and_refused(tmp_path: Path):
    link = zipfile.ZipInfo("train/SICK/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo("train/SICK/packed.png")
    packed.compress_type = zipfile.ZIP_BZIP2
    names = ("../train/SICK/1.png", "/train/SICK/2.png", "C:\\train\\SICK\\3.png", link, packed)
    bad = dict.fromkeys([*names, "train/SICK/a.zip", "train/SICK/secret.png"], b"x")
    archive_of(tmp_path / "set.zip", GOOD | bad)
    found = reasons(encrypted(tmp_path / "set.zip", "train/SICK/secret.png"))
    assert found.pop("train/SICK/packed.png").startswith("compressed with ")
    assert found == dict.fromkeys(GOOD, "") | {
        "../train/SICK/1.png": "its path leaves the archive",
        "/train/SICK/2.png": "its path is absolute",
        "C:/train/SICK/3.png": "its path is absolute",
        "train/SICK/link.png": "a symbolic link",
        "train/SICK/a.zip": "an archive within the archive: unpack it first",
        "train/SICK/secret.png": "encrypted",
    }


def test_names_that_no_file_can_have_are_named(tmp_path: Path):
    path = tmp_path / "set.zip"
    archive_of(path, GOOD | {"train/SICK/XXXX.png": b"x", "train/SICK/Ä.png": b"x"})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"XXXX.png", b"X\0XX.png"))
    assert reasons(str(path))["train/SICK/X"] == "its name holds a NUL"
    path.write_bytes(whole.replace("Ä.png".encode(), b"\xff\xfe.png"))  # is marked as UTF-8
    expected = dict.fromkeys(GOOD, "") | {
        "train/SICK/XXXX.png": "",
        "train/SICK/\\xff\\xfe.png": "its name is marked as UTF-8 and is not",
    }
    assert reasons(str(path)) == expected
    source = sources.open_source(str(path))
    assert [source.read(record) for record in source.records() if not record.refused][-1] == b"x"


def test_the_first_of_two_members_of_one_name_counts(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in GOOD.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("train/SICK/2.png", b"another")
    source = sources.open_source(str(tmp_path / "set.zip"))
    records = {r.name: r for r in source.records()}
    assert source.read(records["train/SICK/2.png"]) == b"two"
    assert [bool(r.refused) for n, r in records.items() if n not in GOOD] == [True]


def test_a_bomb_is_stopped_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    bomb = {"train/SICK/3.png": bytes(100_000)}
    name = archive_of(tmp_path / "set.zip", GOOD | bomb, compression=zipfile.ZIP_DEFLATED)
    assert reasons(name)["train/SICK/3.png"].startswith("larger than")
    content = bytearray(Path(name).read_bytes())
    size = (100_000).to_bytes(4, "little")
    at = content.rindex(size)
    content[at : at + 4] = (500).to_bytes(4, "little")  # a lie
    Path(name).write_bytes(content)
    source = sources.open_source(name)
    (record,) = (r for r in source.records() if r.name == "train/SICK/3.png")
    assert not record.refused
    with pytest.raises(OSError, match="damaged"):
        source.read(record)
    assert files.within_limit(bytes(1000), "a") == bytes(1000)
    with pytest.raises(OSError, match="a holds more than"):
        files.within_limit(bytes(1001), "a")


def test_damaged_members_cannot_be_read(tmp_path: Path):
    noise = {"train/SICK/3.png": bytes(range(256)) * 9}
    name = archive_of(tmp_path / "set.zip", GOOD | noise, compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(Path(name).read_bytes())
    for member, length in (("train/SICK/2.png", 3), ("train/SICK/3.png", 8)):
        start = raw.index(member.encode()) + len(member)
        raw[start : start + length] = b"\xff" * length
    Path(name).write_bytes(raw)
    source = sources.open_source(name)
    good, *bad = source.records()
    assert source.read(good) == b"one"
    for record in bad:
        with pytest.raises(OSError, match="damaged in the archive"):
            source.read(record)


def test_a_file_that_is_no_sound_archive_is_refused(tmp_path: Path):
    sound = Path(archive_of(tmp_path / "set.zip", GOOD)).read_bytes()
    (tmp_path / "short.zip").write_bytes(sound[:-30])
    (tmp_path / "directory.zip").write_bytes(sound.replace(b"PK\x01\x02", b"PK\x09\x09"))
    (tmp_path / "text.zip").write_text("no archive")
    with tarfile.open(tmp_path / "set", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("train/a/1.png"), io.BytesIO())
    encrypted(tmp_path / "set.zip")
    for file, sentence in (
        ("short.zip", "damaged or incomplete: download it again"),
        ("directory.zip", "damaged or incomplete"),
        ("text.zip", "not a zip archive"),
        ("set", "unpack it first and give the folder"),
        ("set.zip", "is encrypted: unpack it with its password"),
    ):
        with pytest.raises(UsageError, match=sentence):
            sources.open_source(str(tmp_path / file))


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2")]
)
def test_an_archive_compressed_in_another_way_is_refused_for_that(
    tmp_path: Path, method: int, name: str
):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", method) as archive:
        archive.writestr("README.md", "about", zipfile.ZIP_STORED)
        for member in GOOD:
            archive.writestr(member, b"x" * 500)
    with pytest.raises(UsageError, match=f"compressed with {name}, which is not read: unpack it"):
        sources.open_source(str(tmp_path / "set.zip"))


def test_other_processes_read_it_at_the_same_time(tmp_path: Path):
    members = {f"{c}/{n}.png": str(n).encode() * 5000 for n in range(50) for c in ("no", "sick")}
    source = sources.open_source(archive_of(tmp_path / "set.zip", members))
    assert content_of(source) == members  # this process has it open
    assert content_of(pickle.loads(pickle.dumps(source))) == members
    # Forked from a process without threads: a fork of this one might wait for their locks for ever.
    program = (
        "import multiprocessing, pickle, sys\n"
        "source = pickle.load(sys.stdin.buffer)\n"
        "def content(_):\n"
        "    return {r.name: source.read(r) for r in source.records()}\n"
        "expected = content(0)\n"
        "with multiprocessing.get_context('fork').Pool(3) as pool:\n"
        "    assert pool.map(content, range(6)) == [expected] * 6\n"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, input=pickle.dumps(source), timeout=60, check=True)


def test_the_public_archive(shared_data: Path):
    source = sources.open_source(str(shared_data / "chest_xray_224.zip"))
    records = source.records()
    assert [sum(r.split == s for r in records) for s in ("train", "test")] == [5216, 310]
    patients = {
        split: {r.patient for r in records if r.split == split} for split in ("train", "test")
    }
    assert "" not in patients["train"] and not patients["train"] & patients["test"]
    assert source.classes == ("NORMAL", "PNEUMONIA")
