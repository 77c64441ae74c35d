"""Files to predict: which there are, in which order, and what becomes of each."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainer.data.prepare.ingest import DecodeOptions
from trainer.judge import input_files
from trainer.judge.input_files import InputFiles
from trainer.system.errors import UsageError

FITS = ((8, "squash"), (16, "pad"))


def png(shade=100, side=20):
    pixels = np.tile(np.linspace(0, shade, side).astype(np.uint8), (side, 1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A folder with two images, one of them without a suffix, and what is passed over."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.png").write_bytes(png())
    (folder / "deeper/a").write_bytes(png())
    for other in ("notes.txt", "data.bin", "deeper/.hidden.png"):
        (folder / other).write_bytes(b"text")
    return folder


def paths(*given, **options):
    return [file.path for file in InputFiles([*map(str, given)], **options)]


def decoded(files):
    return list(map(lambda file: input_files.decode(DecodeOptions(64), FITS, file), files))


def test_paths_are_taken_in_the_order_given_and_folders_by_name(folder, tmp_path):
    (tmp_path / "z.png").write_bytes(png())
    files = InputFiles([str(tmp_path / "z.png"), f"{folder}/", str(tmp_path / "missing.png")])

    found = [file.path for file in files]

    names = ["z.png", "images/b.png", "images/deeper/a", "missing.png"]
    assert found == [f"{tmp_path}/{name}" for name in names]
    assert (files.found, files.passed_over, files.count()) == (4, 2, 4)


def test_lines_of_a_list_are_paths_like_any_other(folder, tmp_path):
    lines = [f"{folder}\n", "\n", "x.png\r\n"]

    assert paths("-", "y.png", listed=lines)[-2:] == ["x.png", "y.png"]
    assert len(paths("-", listed=lines)) == 3
    assert InputFiles(["-"], lines).count() is None


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_members_of_an_archive_are_read_from_it(folder, tmp_path, kind):
    archive = tmp_path / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.write(folder / "b.png", "in/b.png")
    else:
        with tarfile.open(archive, "w:gz") as opened:
            opened.add(folder / "b.png", "in/b.png")

    (file,) = InputFiles([str(archive)])

    assert file.path == f"{archive}/in/b.png"
    assert [image.shape for image in decoded([file])[0].images] == [(8, 8, 1), (16, 16, 1)]


def test_rows_of_a_table_are_found_below_its_folder(folder, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("patient,image\n1,b.png\n2,gone.png\n3,deeper/a\n")

    found, missing, other = decoded(InputFiles([str(table)]))

    assert (found.path, found.reason) == (f"{tmp_path}/images/b.png", "")
    assert (missing.path, missing.group) == ("gone.png", input_files.UNREAD)
    assert missing.reason.startswith("no such file under ")
    assert len(other.images) == 2
    assert paths(table, path_column="image", image_root=str(folder))[0] == f"{folder}/b.png"
    with pytest.raises(UsageError, match="has no column 'file'.*one of patient, image"):
        paths(table, path_column="file")


@pytest.mark.parametrize(
    ("content", "group", "reason"),
    [
        (b"", "no radiograph", "empty file"),
        (b"\xff\xd8\xff\xe0", "damaged", "damaged: "),
        (b"hello", "no radiograph", "text, not an image"),
        (png(side=4), "no radiograph", "4x4 pixels"),
        (png(shade=0), "left out", "blank: "),
    ],
)
def test_a_file_that_cannot_be_used_has_a_reason_and_its_group(tmp_path, content, group, reason):
    (tmp_path / "x.png").write_bytes(content)

    (file,) = decoded(InputFiles([str(tmp_path / "x.png")]))

    assert file.group == group and file.reason.startswith(reason) and not file.images


def test_a_file_that_is_not_there_is_refused_and_no_mistake():
    (file,) = decoded(InputFiles(["/nowhere/x.png"]))

    assert (file.group, file.reason) == (
        "cannot be read",
        "cannot be read: No such file or directory",
    )
