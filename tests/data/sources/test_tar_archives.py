"""Tar archives are read as they are; what is no regular file is listed and never read."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import Options
from trainer.data.sources.tar_archives import TarArchives
from trainer.system.errors import UsageError


def archive_of(path: Path, mode: str, *names: str) -> None:
    with tarfile.open(path, mode) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("set.tar", "w"), ("set.tar.gz", "w:gz"), ("set.tgz", "w:gz"), ("set.tar.xz", "w:xz")],
)
def test_class_folders_in_an_archive(tmp_path: Path, name: str, mode: str):
    members = ("./train/NORMAL/1.png", "./train/SICK/2.png", "./test/SICK/3.png")
    archive_of(tmp_path / name, mode, *members)
    source = pickle.loads(pickle.dumps(sources.open_source(str(tmp_path / name))))
    records = source.records()
    assert [(r.name, r.split) for r in records] == [
        *(("test/SICK/3.png", "test"), ("train/NORMAL/1.png", "train")),
        ("train/SICK/2.png", "train"),
    ]
    assert [source.read(record).decode() for record in records] == [
        f"./{record.name}" for record in records
    ]


def test_nih_is_read_from_its_archives_in_their_order(tmp_path: Path):
    for number, names in ((1, ("3_000.png", "1_000.png")), (2, ("2_000.png",))):
        path = tmp_path / "images" / f"images_{number:03d}.tar.gz"
        path.parent.mkdir(exist_ok=True)
        archive_of(path, "w:gz", *(f"images/0000000{name}" for name in names))
    rows = [f"0000000{n}_000.png,{label},{n}" for n, label in ((1, "Mass"), (2, ""), (3, "Hernia"))]
    table = tmp_path / "Data_Entry_2017_v2020.csv"
    table.write_text("\n".join(["Image Index,Finding Labels,Patient ID", *rows]))
    source = sources.open_source(str(table), Options(image_root=str(tmp_path / "images")))
    records = source.records()
    assert [r.patient for r in records] == ["3", "1", "2"]
    assert records[2].place == "images_002/images/00000002_000.png"
    assert source.read(records[0]) == b"images/00000003_000.png"


def test_links_are_listed_and_not_read_and_names_are_taken_once(tmp_path: Path):
    archive_of(tmp_path / "set.tar", "w", "a/1.png", "a/1.png", "b/2.png")
    with tarfile.open(tmp_path / "set.tar", "a") as archive:
        link = tarfile.TarInfo("a/3.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    content = TarArchives("set.tar", [tmp_path / "set.tar"])  # type: ignore[list-item]
    assert content.refused["a/3.png"] == "a link or a device"
    assert [reason for name, reason in content.refused.items() if name.startswith("a/1.png")] == [
        "the archive has this name twice: the first is taken"
    ]


def test_a_damaged_archive_is_refused(tmp_path: Path):
    archive_of(tmp_path / "set.tar.gz", "w:gz", *(f"a/{n}.png" for n in range(50)))
    whole = (tmp_path / "set.tar.gz").read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b""):
        (tmp_path / "set.tar.gz").write_bytes(content)
        with pytest.raises(UsageError, match="set.tar.gz is damaged or incomplete .*again"):
            sources.open_source(str(tmp_path / "set.tar.gz"))
