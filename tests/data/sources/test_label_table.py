"""Tables of images and labels: a user's own, and those of the public sets."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from trainer.data import sources
from trainer.data.sources import Options, readers
from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

CHEXPERT_HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Support Devices"


def table_of(folder: Path, *lines: str, name: str = "labels.csv", images: str = "") -> str:
    """Writes a table, and its images (their names as content)."""
    (folder / name).write_text("\n".join(lines) + "\n")
    for image in images.split():
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(image.encode())
    return str(folder / name)


def records_of(name: str, **options: str | bool | tuple[str, ...]) -> list[ImageRecord]:
    return list(sources.open_source(name, Options(**options)).records())


def test_columns_are_chosen(tmp_path: Path):
    name = table_of(
        tmp_path,
        *("file,person,fold,edema,mass", "a.png,p1,train,1,0"),
        *("b.png,p2,TEST,,1", "c.png,p3,,0,-1"),
        images="images/a.png images/b.png images/c.png",
    )
    source = sources.open_source(
        name,
        Options(
            image_root=str(tmp_path / "images"),
            path_column="file",
            label_columns=("edema", "mass"),
            patient_column="person",
            split_column="fold",
            uncertain="positive",
        ),
    )
    assert (source.labels, source.classes, source.identifying) == (("edema", "mass"), (), False)
    records = source.records()
    assert [(r.name, r.labels, r.patient, r.split) for r in records] == [
        ("a.png", (1, 0), "p1", "train"),
        ("b.png", (-1, 1), "p2", "test"),
        ("c.png", (0, 1), "p3", ""),
    ]
    assert pickle.loads(pickle.dumps(source)).read(records[1]) == b"images/b.png"


def test_missing_and_ambiguous_images_are_listed_and_refused(tmp_path: Path):
    """Nor do paths reach a file outside of the image root."""
    name = table_of(
        tmp_path,
        *("path,x", "a.png,1", "gone.png,0", "twice.png,1", "../secret.png,1"),
        images="secret.png images/a.png images/m/twice.png images/n/twice.png",
    )
    records = records_of(
        name, path_column="path", label_columns=("x",), image_root=str(tmp_path / "images")
    )
    assert {r.name: r.refused for r in records} == {
        "a.png": "",
        "gone.png": "the image does not exist",
        "twice.png": "more than one file under --image_root has this name",
        "../secret.png": "the image does not exist",
    }


def test_of_an_image_and_its_mask_of_one_name_the_image_is_taken(tmp_path: Path):
    name = table_of(
        tmp_path,
        *("path,x", "a.png,1", "b.png,0"),
        images="images/a.png images/b.png masks/a.png masks/b.png lung_masks/b.png",
    )
    records = records_of(name, path_column="path", label_columns=("x",))
    assert [(r.place, r.refused) for r in records] == [("images/a.png", ""), ("images/b.png", "")]


def test_a_table_whose_every_image_is_ambiguous_is_refused_for_that(tmp_path: Path):
    name = table_of(tmp_path, "path,x", "a.png,1", "a.png,0", images="one/a.png two/a.png")
    with pytest.raises(UsageError, match=r"'a.png', is the name of several files .*--image_root"):
        records_of(name, path_column="path", label_columns=("x",))


def test_a_table_without_any_of_its_images_is_refused(tmp_path: Path):
    name = table_of(tmp_path, "path,x", "a.png,1", "b.png,0")
    with pytest.raises(UsageError, match=r"none of the images .* such as 'a.png', .*--image_root"):
        records_of(name, path_column="path", label_columns=("x",))
    with pytest.raises(UsageError, match="--image_root=/nowhere does not exist"):
        records_of(name, path_column="path", label_columns=("x",), image_root="/nowhere")


def test_rows_of_one_image_are_one_record_or_refused(tmp_path: Path):
    name = table_of(
        tmp_path,
        *("path,x,who", "a.png,1,p", "./a.png,1,p", "b.png,1,p", "b.png,0,p"),
        *("c.png,1,p", "c.png,1,q"),
        images="a.png b.png c.png",
    )
    records = records_of(name, path_column="path", label_columns=("x",), patient_column="who")
    assert [(r.name, r.labels, r.refused) for r in records] == [
        ("a.png", (1,), ""),
        ("b.png", (-1,), readers.DIFFER),
        ("c.png", (-1,), "its rows differ in patient"),
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ("path,x,fold", "a.png,1,one"),
            "line 2, column 'fold' holds 'one': a split is train, val or test",
        ),
        (("path,x,fold", ",1,train"), "line 2, column 'path' names no image"),
        (("path,x,fold",), "has a header and no rows"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused(tmp_path: Path, lines: tuple, sentence: str):
    name = table_of(tmp_path, *lines, images="a.png")
    with pytest.raises(UsageError, match=sentence):
        records_of(name, path_column="path", label_columns=("x",), split_column="fold")


def test_images_in_an_archive(tmp_path: Path):
    name = table_of(tmp_path, "path,x", "a.png,1", "b.png,0")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for image in ("images/a.png", "images/b.png"):
            archive.writestr(image, image)
    source = sources.open_source(
        name,
        Options(path_column="path", label_columns=("x",), image_root=str(tmp_path / "images.zip")),
    )
    assert [source.read(r) for r in source.records()] == [b"images/a.png", b"images/b.png"]


def test_images_in_archives_beside_the_table(tmp_path: Path):
    name = table_of(tmp_path, "Image Index,Finding Labels", "a.png,Mass", "b.png,No Finding")
    for number, image in enumerate(("a.png", "b.png")):
        with zipfile.ZipFile(tmp_path / f"images_{number:03d}.zip", "w") as archive:
            archive.writestr(f"images/{image}", image)
    source = sources.open_source(name)
    assert [source.read(r) for r in source.records()] == [b"a.png", b"b.png"]


def test_content_and_options_change_the_fingerprint(tmp_path: Path):
    name = table_of(tmp_path, "path,x", "a.png,1", "b.png,-1", images="a.png b.png c.png")
    asked = {"path_column": "path", "label_columns": ("x",)}

    def fingerprint(**more: str) -> str:
        return sources.open_source(name, Options(**asked, **more)).fingerprint

    before = fingerprint()
    (tmp_path / "c.png").write_bytes(b"not in the table")
    assert fingerprint() == before
    assert fingerprint(uncertain="positive") != before
    (tmp_path / "a.png").write_bytes(b"changed")
    assert fingerprint() != before


def test_nih_needs_no_flags(tmp_path: Path):
    name = table_of(
        tmp_path,
        "Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,Height],",
        "00000001_000.png,Cardiomegaly|Effusion,0,1,2682,2749,",
        "00000013_005.png,No Finding,5,13,2000,2000,",
        name="Data_Entry_2017.csv",
        images="images_001/images/00000001_000.png images_002/images/00000013_005.png",
    )
    source = sources.open_source(name)
    first, second = source.records()
    assert len(source.labels) == 14
    assert [label for label, v in zip(source.labels, first.labels, strict=True) if v == 1] == [
        "Cardiomegaly",
        "Effusion",
    ]
    assert set(second.labels) == {0} and (first.patient, second.patient) == ("1", "13")
    assert source.read(second) == b"images_002/images/00000013_005.png"
    before = source.fingerprint

    (tmp_path / "train_val_list.txt").write_text("00000013_005.png\n")
    (tmp_path / "test_list.txt").write_text("00000001_000.png\n")
    source = sources.open_source(name)
    assert [r.split for r in source.records()] == ["test", "train"]
    assert source.fingerprint != before


def chexpert(folder: Path) -> str:
    """Three images of two patients: a frontal and a lateral view, and one to validate with."""
    root = "CheXpert-v1.0-small"
    paths = (
        f"{root}/train/patient00001/study1/view1_frontal.jpg",
        f"{root}/train/patient00001/study1/view2_lateral.jpg",
        f"{root}/valid/patient64541/study1/view1_frontal.jpg",
    )
    images = " ".join(path.removeprefix(f"{root}/") for path in paths)
    return table_of(
        folder,
        CHEXPERT_HEADER,
        f"{paths[0]},Female,68,Frontal,AP,,-1.0,1.0",
        f"{paths[1]},Female,68,Lateral,,,0.0,",
        f"{paths[2]},Male,73,Frontal,PA,1.0,,0.0",
        name="train.csv",
        images=images,
    )


def test_chexpert_needs_no_flags(tmp_path: Path):
    source = sources.open_source(chexpert(tmp_path))
    assert source.labels == ("Edema", "Support Devices")
    assert [(r.labels, r.patient, r.split, bool(r.refused)) for r in source.records()] == [
        ((-1, 1), "patient00001", "train", False),
        ((0, 0), "patient00001", "train", True),
        ((0, 0), "patient64541", "val", False),
    ]


def test_chexperts_uncertain_labels_and_lateral_views_follow_the_options(tmp_path: Path):
    records = records_of(chexpert(tmp_path), uncertain="positive", any_view=True)
    assert [r.labels for r in records] == [(1, 1), (0, 0), (0, 0)]
    assert not any(r.refused for r in records)
    some = records_of(chexpert(tmp_path), label_columns=("Edema",))
    assert [r.labels for r in some] == [(-1,), (0,), (0,)]


def test_a_pattern_finds_the_patient_of_a_row(tmp_path: Path):
    name = table_of(tmp_path, "path,x", "p1_a.png,1", "p2_b.png,0", images="p1_a.png p2_b.png")
    records = records_of(name, path_column="path", label_columns=("x",), patient_regex=r"^(p\d)_")
    assert [r.patient for r in records] == ["p1", "p2"]


def test_the_public_subset_of_nih(shared_data: Path):
    folder = shared_data / "nih_chestxray14"
    source = sources.open_source(str(folder / "Data_Entry_2017_v2020.csv"))
    records = source.records()
    assert len(records) == 48 and not any(r.refused for r in records)
    assert all(int(r.name[:8]) == int(r.patient) for r in records)
    assert Image.open(io.BytesIO(source.read(records[0]))).size == (1024, 1024)


def test_rows_of_nobody_are_no_giant_patient_and_said(tmp_path: Path):
    names = [f"{n}.png" for n in range(24)]
    rows = [f"{name},{n % 2},{f'p{n}' if n < 10 else 'nan'}" for n, name in enumerate(names)]
    name = table_of(tmp_path, "file,x,who", *rows, images=" ".join(names))
    asked = {"path_column": "file", "label_columns": ("x",)}
    source = sources.open_source(name, Options(**asked, patient_column="who"))
    assert [bool(r.patient) for r in source.records()] == [True] * 10 + [False] * 14
    assert "names no patient in 14 of 24 rows ('nan')" in source.notes[-1]
    by_file = sources.open_source(name, Options(**asked, patient_column="file"))
    assert "differs in every row" in by_file.notes[-1]


def test_identifiers_may_tell_nothing(tmp_path: Path):
    lines = ("Image Index,Finding Labels,Patient ID", "00000001_000.png,Mass,1")
    name = table_of(tmp_path, *lines, "00000002_000.png,No Finding,1")
    for image in ("00000001_000.png", "00000002_000.png"):
        (tmp_path / image).write_bytes(b"x")
    assert [r.patient for r in records_of(name)] == ["1", "1"]
    assert [r.patient for r in records_of(name, patient_column="none")] == ["", ""]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("key,x\n1,0\n", "shares no column with .*t.csv, which has file, id: rename"),
        ("id,x\n1,0\n1,1\n", "line 3 differs .* of the same id .* row an image as --source"),
        ("id,x\n1.0,0\n", "o.csv has no row for any row of .*t.csv: its id is written .* as 1.0"),
    ],
)
def test_a_table_that_cannot_be_joined_is_refused(tmp_path: Path, other: str, sentence: str):
    name = table_of(tmp_path, "file,id", "a.png,1", name="t.csv", images="a.png")
    (tmp_path / "o.csv").write_text(other)
    asked = {"path_column": "file", "label_columns": ("x",)}
    with pytest.raises(UsageError, match=sentence):
        records_of(name, **asked, join=(str(tmp_path / "o.csv"),))
    with pytest.raises(UsageError, match="--join=/nowhere.csv does not exist"):
        records_of(name, **asked, join=("/nowhere.csv",))


def test_images_under_another_suffix_are_counted(tmp_path: Path):
    name = table_of(tmp_path, "file,x", "a.png,1", "b.png,0", images="a.PNG b.png")
    source = sources.open_source(name, Options(path_column="file", label_columns=("x",)))
    assert [r.place for r in source.records()] == ["a.PNG", "b.png"]
    note = "1 images are found under another suffix or in other letters, such as a.png as a.PNG"
    assert source.notes[-1:] == [note]


def test_how_a_table_was_read_is_said_with_counts(tmp_path: Path):
    rows = ("a.png,1,,PA,train", "b.png,0,0,L,train", "c.png,0,1,AP,test")
    name = table_of(tmp_path, "file,mass,cyst,view,fold", *rows, images="a.png b.png c.png")
    options = Options(path_column="file", label_columns=("mass", "cyst"), split_column="fold")
    lines = sources.open_source(name, options).reading.describe("t.csv").splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "read t.csv: image by file; labels by mass, cyst; split by fold; view by view",
        *("mass 1 of 2 known a.png", "cyst 1 of 1 known c.png"),
        *("split train 1 a.png", "split test 1 c.png"),
        *(
            "left out, not as damaged:",
            "a lateral view (--any_view takes them) 1 b.png",
        ),
    ]
