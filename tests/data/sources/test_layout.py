"""Folders give classes and splits, and what is left out is counted."""

import unicodedata

import pytest

from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.layout import ClassFolders
from trainer.data.sources.options import Options
from trainer.system.errors import UsageError

PNG = b"\x89PNG"


class InMemory:
    """Files whose content is their name, or what is given."""

    def __init__(self, *names: str, refused: dict[str, str] | None = None, **content: bytes):
        self.name = "memory"
        self.bytes = {name: name.encode() for name in names} | content
        self.stamps = dict.fromkeys(self.bytes, "1")
        self.refused = refused or {}

    def read(self, name: str) -> bytes:
        return self.bytes[name]

    def head(self, name: str, size: int) -> bytes:
        return self.bytes[name][:size]

    def content(self, name: str) -> str:
        return self.bytes[name].hex()


def source_of(*names: str, **options: int | str | tuple[str, ...]) -> ClassFolders:
    return ClassFolders("memory", InMemory(*names), Options(**options))


def records_of(*names: str, **files: dict) -> list[ImageRecord]:
    return ClassFolders("memory", InMemory(*names, **files), Options()).records()


def several(*folders: str, images: int = 4) -> list[str]:
    """Names of images in each of the folders; those of "a/{}" have a folder each."""
    return [
        f"{folder.format(n)}/{n}.png".lstrip("/")
        for folder in folders
        for n in range(10, 10 + images)
    ]


def read(*names: str, **options: int | str | tuple[str, ...]) -> dict[str, int]:
    return {n: group.files for n, group in source_of(*names, **options).reading.classes.items()}


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (("train/NORMAL", "train/SICK", "test/NORMAL", "test/SICK"), {"NORMAL": 8, "SICK": 8}),
        (("set/NORMAL", "set/SICK"), {"NORMAL": 4, "SICK": 4}),
        (("NORMAL/images", "COVID/images"), {"NORMAL": 4, "COVID": 4}),
        (("NORMAL/train", "SICK/train", "NORMAL/test", "SICK/test"), {"NORMAL": 8, "SICK": 8}),
        (("NORMAL/p{}", "SICK/p{}"), {"NORMAL": 4, "SICK": 4}),
        (("NORMAL/Smith{}", "SICK/Jones{}"), {"NORMAL": 4, "SICK": 4}),
        (("train/NORMAL/p{}", "train/SICK/p{}", "valid/SICK/p1{}"), {"NORMAL": 4, "SICK": 8}),
        (("siteA/NORMAL", "siteA/SICK", "siteB/NORMAL", "siteB/SICK"), {"NORMAL": 8, "SICK": 8}),
        (("Rome/benign", "Rome/cancer", "Oslo/benign", "Oslo/cancer"), {"benign": 8, "cancer": 8}),
        (("Rome/train/No TB", "Rome/train/TB", "Oslo/test/No TB"), {"No TB": 8, "TB": 4}),
        (
            ("training_set/COVID", "training_set/Normal", "test_set/COVID"),
            {"Normal": 4, "COVID": 8},
        ),
        (("X-ray/COVID", "X-ray/Non-COVID", "CT/COVID"), {"Non-COVID": 4, "COVID": 4}),
        (("NORMAL", "SICK", "siteB/NORMAL", "siteB/SICK"), {"NORMAL": 8, "SICK": 8}),
        (("NORMAL", "SICK", "test/NORMAL", "test/SICK"), {"NORMAL": 8, "SICK": 8}),
        (("0", "1"), {"0": 4, "1": 4}),
        (("train/0", "train/1", "test/0"), {"0": 8, "1": 4}),
        (("site1/no", "site1/yes", "site2/no"), {"no": 8, "yes": 4}),
        (("\u6b63\u5e38", "\u80ba\u708e png"), {"\u6b63\u5e38": 4, "\u80ba\u708e png": 4}),
        (
            (
                *("Infection Segmentation Data/Train/COVID-19/images", "Lung/Train/Normal/images"),
                *(
                    "Lung/Val/COVID-19/images",
                    "Lung/Val/Non-COVID/images",
                    "Lung/Val/Normal/images",
                ),
                "Lung/Train/COVID-19/lung masks",
            ),
            {"Non-COVID": 4, "Normal": 8, "COVID-19": 8},
        ),
        (("NORMAL", "VIRUS", "BACTERIA"), {"NORMAL": 4, "BACTERIA": 4, "VIRUS": 4}),
    ],
)
def test_the_class_is_the_folder_whose_few_names_repeat(
    folders: tuple[str, ...], classes: dict[str, int]
):
    assert read(*several(*folders)) == classes


@pytest.mark.parametrize(
    "folder", ["TrainData", "NonAugmentedTrain", "training_set", "train_images"]
)
def test_splits_have_many_names(folder: str):
    others = [f"{name}/{c}" for name in ("ValData", "hold-out") for c in ("NORMAL", "SICK")]
    reading = source_of(*several(f"{folder}/NORMAL", f"{folder}/SICK", *others)).reading
    assert {name: group.files for name, group in reading.splits.items()} == {
        "train": 8,
        "val": 8,
        "test": 8,
    }


@pytest.mark.parametrize(
    "folders",
    [
        ("NORMAL", "PNEUMONIA/VIRUS", "PNEUMONIA/BACTERIA"),
        ("Rome/early", "Rome/late", "Oslo/early", "Oslo/late"),
        ("edema/yes", "edema/no", "effusion/yes", "effusion/no"),
        ("Rome/train/early", "Rome/train/late", "Oslo/train/early", "Oslo/test/late"),
    ],
)
def test_two_possible_readings_are_refused_with_both(folders: tuple[str, ...]):
    with pytest.raises(UsageError, match=r"in 2 ways(.|\n)*--class_level=-?\d.*\n.*--class_level="):
        read(*several(*folders))


def test_the_user_decides_what_the_class_is():
    names = several("NORMAL", "PNEUMONIA/VIRUS", "PNEUMONIA/BACTERIA")
    assert read(*names, class_level=1) == {"NORMAL": 4, "PNEUMONIA": 8}
    assert read(*names, class_level=-1) == {"NORMAL": 4, "BACTERIA": 4, "VIRUS": 4}
    shenzhen = [f"CXR_png/CHNCXR_{n:04d}_{n % 2}.png" for n in range(6)]
    assert read(*shenzhen, class_from=r"_([01])\.png") == {"0": 3, "1": 3}
    assert read(*shenzhen, class_from=r"_([01])\.png", map_labels="0=normal,1=TB") == {
        "normal": 3,
        "TB": 3,
    }
    with pytest.raises(UsageError, match="class_from=x finds no class in any name, such as 'CXR"):
        read(*shenzhen, class_from="x")
    with pytest.raises(UsageError, match="no images in class folders.*--class_from=REGEX"):
        read("a.png", "b.png")


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (("original/NORMAL", "original/TB", "Augmented/TB"), "--exclude=Augmented, or .*_level=2"),
        (("original/NORMAL", "original/TB", "clahe/TB"), "changed copies .*--exclude=clahe, or"),
        (("NORMAL", "TB", "TB_aug"), "may hold changed copies .*--exclude=TB_aug, or"),
        (("train/NORMAL", "train/TB", "train/TB/augmented"), "--exclude=augmented, or .*_level=2"),
        (("Smith{}", "Jones{}", "Brown{}"), "12 classes for 12 images, such as Brown10, since"),
        (("NORMAL", "TB", "", "", ""), "gives 8 of 20 images a class .*NORMAL.*--class_level=1"),
        (("CT", "NORMAL"), r"one class NORMAL \(but 4 of not radiographs \(folders CT"),
        (("Lateral", "PA"), r"no images in class folders \(but 4 of lateral views"),
        (
            ("train/NORMAL", "train/PNEUMONIA", "test/NORMAL", "test/PNUEMONIA"),
            "PNEUMONIA in train alone and PNUEMONIA in test alone: if they are one class, give "
            "--map_labels='PNUEMONIA=PNEUMONIA', else --map_labels='PNUEMONIA=PNUEMONIA'",
        ),
    ],
)
def test_folders_that_may_be_no_classes_are_asked_about(folders: tuple[str, ...], sentence: str):
    names = [f"{n}{name}" if "/" not in name else name for n, name in enumerate(several(*folders))]
    with pytest.raises(UsageError, match=sentence):
        read(*names)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"class_level": 3}, "class_level=3 is no folder .* 2 at most, as in a/NORMAL: give 1 "),
        ({"class_level": -3}, "class_level=-3 is no folder of any path"),
        ({"class_from": ".*"}, "12 classes for 12 images, such as 10.png"),
        ({"exclude": ("Masks",)}, "exclude=Masks matches no file and no folder of --source=memory"),
        ({"exclude": ("sick",)}, "exclude=sick matches no file"),
        ({"exclude": ("SICK",)}, r"one class NORMAL \(but 6 of --exclude=SICK\)"),
        ({"exclude": ("*",)}, r"no images .*but 12 of --exclude=\*"),
        ({"map_labels": "sick=,normal="}, r"has no class \(but 12 of a class that --map_labels"),
        ({"map_labels": "sick=a,normal=a"}, "has the one class a"),
        ({"map_labels": "sik=a"}, "renames 'sik', which is no label: they are NORMAL, SICK"),
        ({"positive": "sik"}, "positive=sik must name one of two classes: they are NORMAL, SICK"),
    ],
)
def test_a_mistaken_option_is_refused_with_its_reason(options: dict, sentence: str):
    names = [
        f"a/{c}/{n + 6 * (c == 'SICK')}.png" for c in ("NORMAL", "SICK") for n in range(10, 16)
    ]
    with pytest.raises(UsageError, match=sentence):
        read(*names, **options)


def test_a_class_that_train_lacks_is_kept_and_said():
    names = several("train/NORMAL", "train/TB", "test/NORMAL", "test/COVID", "test/unknown")
    reading = source_of(*names).reading
    assert list(reading.classes) == ["NORMAL", "COVID", "TB"]
    lines = [line.split() for line in reading.describe("memory").splitlines()]
    assert lines[2] == ["COVID", "4", "test/COVID/10.png"]
    assert " ".join(lines[3]) == "warning: in no image of train, which cannot teach it"
    assert list(reading.left_out) == [
        "unknown, which names no class (--map_labels=unknown=NAME makes it one)"
    ]
    assert read(*names, map_labels="unknown=other") == {
        "NORMAL": 8,
        "COVID": 4,
        "TB": 4,
        "other": 4,
    }


@pytest.mark.parametrize("copy", ["NORMAL (1)", "NORMAL(2)", "Normal - Copy", "normal copy 2"])
def test_a_folder_that_a_computer_copied_is_of_its_class(copy: str):
    source = source_of(*several("NORMAL", "SICK"), f"{copy}/7.png")
    assert source.classes == ("NORMAL", "SICK")
    assert source.reading.classes["NORMAL"].written == tuple(sorted(["NORMAL", copy]))
    assert len(read(*several("stage (1)", "stage (2)", "stage (3)"))) == 3


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("figures", "figures and the like (folders figures)"),
        ("docs/img/plots", "figures and the like (folders plots)"),
        ("NORMAL/thumbnails", "figures and the like (folders thumbnails)"),
        (
            "Unlabeled images",
            "Unlabeled images, which names no class (--map_labels=Unlabeled images=NAME makes it "
            "one)",
        ),
        ("@eaDir/NORMAL", "hidden files"),
        ("NORMAL/@eaDir", "hidden files"),
        ("$RECYCLE.BIN", "hidden files"),
    ],
)
def test_what_authors_and_computers_add_is_no_class(folder: str, reason: str):
    source = source_of(*several("NORMAL", "SICK", folder))
    assert source.classes == ("NORMAL", "SICK") and source.reading.left_out[reason].files == 4
    assert read(*several("results/NORMAL", "results/SICK")) == {"NORMAL": 4, "SICK": 4}


def test_an_archive_within_the_archive_is_counted():
    why = "an archive within the archive: unpack it first"
    files = InMemory(*several("a/NORMAL", "a/SICK"), "a/x.zip", refused={"a/x.zip": why})
    assert ClassFolders("memory", files, Options()).reading.left_out[why].files == 1
    with pytest.raises(
        UsageError, match=r"no images in class folders \(but 1 of an archive within"
    ):
        ClassFolders("memory", InMemory("a/x.zip", refused={"a/x.zip": why}), Options())


def test_control_characters_in_names_reach_no_terminal():
    source = source_of(*several("NORMAL", "SICK"), "SICK/\x1b[2J\n.txt", "NORMAL/\x1b.png")
    assert source.reading.describe("memory").replace("\n", "").isprintable()


@pytest.mark.parametrize("folders", [("images_001", "images_002"), ("p{}",), ("part1", "part2")])
def test_folders_that_are_no_classes_are_refused(folders: tuple[str, ...]):
    with pytest.raises(UsageError, match="no folders that are classes|no images in class folders"):
        read(*several(*folders))


def test_what_is_no_radiograph_is_left_out_and_counted():
    source = source_of(
        *several("s/COVID/images", "s/Normal/images", "s/COVID/masks", "s/Normal/lung masks"),
        *("s/README.md", "s/Icon\r", "s/COVID/Thumbs.db", "s/COVID.metadata.xlsx", "s/.DS_Store"),
        *("__MACOSX/s/COVID/images/._10.png", "s/Normal/images/10_mask.png", "s/extra/words"),
        *("s/old/Normal/images/7.png", "s/overview.png"),
        exclude=("old",),
    )
    assert {name: g.files for name, g in source.reading.classes.items()} == {
        "Normal": 4,
        "COVID": 4,
    }
    left_out = {reason: group.files for reason, group in source.reading.left_out.items()}
    assert left_out == {
        "masks, annotations and the like (folders masks)": 4,
        "masks, annotations and the like (folders lung masks)": 4,
        "masks, by the names of files": 1,
        "hidden files": 2,
        "no images (*.md)": 1,
        "no images (*.db)": 1,
        "no images (*.xlsx)": 1,
        "no images": 2,
        "--exclude=old": 1,
        "without a class folder": 1,
    }
    lines = source.reading.describe("memory").splitlines()
    assert lines[0] == "read memory: the class is folder 2 of a path (--class_level=2)"
    assert lines[1].split() == ["Normal", "=", "0", "4", "s/Normal/images/10.png"]
    assert lines[2].split() == ["COVID", "=", "1,", "the", "finding", "4", "s/COVID/images/10.png"]


def test_a_file_without_a_suffix_is_an_image_by_its_first_bytes():
    content = {"normal/IM1": PNG, "sick/IM2": PNG, "sick/notes": b"text"}
    source = ClassFolders("memory", InMemory(**content), Options())
    assert [record.name for record in source.records()] == ["normal/IM1", "sick/IM2"]


def test_a_flat_test_folder_is_told_of_and_the_classes_are_found():
    source = source_of(*several("NORMAL", "SICK", "test"))
    assert source.reading.left_out["without a class folder, in the split test"].files == 4
    source = source_of(*several("set/train/NORMAL", "set/train/SICK", "set/test", "set/NORMAL"))
    assert {reason: group.files for reason, group in source.reading.left_out.items()} == {
        "without a class folder, in the split test": 4,
        "outside of the folders train, val and test": 4,
    }


def test_only_identical_files_are_copies():
    names = several("siteA/NORMAL", "siteA/SICK", "siteB/NORMAL", "siteB/SICK")
    content = {name: name.encode() for name in names} | {"siteB/SICK/10.png": b"siteA/SICK/10.png"}
    source = ClassFolders("memory", InMemory(**content), Options())
    assert len(source.records()) == 15
    left_out = source.reading.left_out["copies, identical to a file that is read"]
    assert (left_out.files, left_out.example) == (1, "siteB/SICK/10.png")


def test_the_second_copy_within_the_public_archive_is_left_out():
    first = (
        "chest_xray/train/NORMAL/IM-0001-0001.jpeg",
        "chest_xray/val/SICK/person1_virus_1.jpeg",
    )
    content = {name: name.encode() for name in first}
    content |= {f"chest_xray/{name}": name.encode() for name in first}
    source = ClassFolders("memory", InMemory(**content), Options())
    assert [(r.split, r.labels, r.name) for r in source.records()] == [
        ("train", (0,), first[0]),
        ("val", (1,), first[1]),
    ]


def test_turned_copies_beside_their_originals_are_asked_about():
    folders = [f"{s}/{c}" for s in ("TrainData", "NonAugmentedTrain") for c in ("Normal", "Sick")]
    with pytest.raises(UsageError, match="NonAugmentedTrain and TrainData.*--exclude=TrainData"):
        read(*several(*folders))
    assert read(*several(*folders), exclude=("TrainData",)) == {"Normal": 4, "Sick": 4}
    assert read(*several(*folders), class_level=2) == {"Normal": 8, "Sick": 8}


def test_spellings_of_a_class_are_one_and_are_shown():
    decomposed = unicodedata.normalize("NFD", "Entz\u00fcndung")
    names = several("a/Normal", "b/NORMAL", "b/normal ", "a/Entz\u00fcndung", f"b/{decomposed}")
    source = source_of(*names, "a/Normal/1.png", class_level=2)
    assert source.classes == ("Normal", "Entz\u00fcndung")
    assert source.reading.classes["Normal"].written == ("NORMAL", "Normal", "normal ")
    assert "written 'NORMAL', 'Normal', 'normal '" in source.reading.describe("memory")


def test_the_finding_of_two_classes_is_known_or_given():
    assert source_of(*several("COVID", "NonCOVID")).classes == ("NonCOVID", "COVID")
    with pytest.raises(UsageError, match="--positive=early or --positive=late"):
        read(*several("early", "late"))
    assert source_of(*several("early", "late"), positive="Early").classes == ("late", "early")
    with pytest.raises(UsageError, match="--positive=other must name one of two classes: .*late"):
        read(*several("early", "late"), positive="other")


def test_labels_are_renamed_merged_and_left_out():
    names = several("NORMAL", "VIRUS", "BACTERIA", "todo")
    given = "virus=PNEUMONIA,Bacteria=PNEUMONIA,todo="
    assert read(*names, map_labels=given) == {"NORMAL": 4, "PNEUMONIA": 8}
    with pytest.raises(UsageError, match="renames 'fungus', which is no label: they are BACTERIA"):
        read(*names, map_labels="fungus=x")


def test_what_was_asked_of_the_classes_changes_the_fingerprint():
    names = several("early", "late")
    prints = {source_of(*names, positive=name).fingerprint for name in ("early", "late")}
    assert len(prints) == 2


def test_three_classes_exclude_one_another():
    source = source_of("VIRUS/a.png", "NORMAL/b.png", "COVID/c.png")
    assert source.labels == ("NORMAL", "COVID", "VIRUS") and source.classes == ()
    assert source.exclusive and not source_of("NORMAL/b.png", "COVID/c.png").exclusive
    assert [r.labels for r in source.records()] == [(0, 1, 0), (1, 0, 0), (0, 0, 1)]


def test_refused_files_are_listed_and_displace_no_other():
    bad = {"../train/no/1.png": "its path leaves the archive", "/x/evil/9.png": "absolute"}
    bad["/etc/passwd"] = "absolute"
    records = records_of("train/no/1.png", "train/yes/2.png", *bad, refused=bad)
    assert [(r.name, r.labels, r.refused) for r in records] == [
        ("../train/no/1.png", (0,), "its path leaves the archive"),
        ("/x/evil/9.png", (-1,), "absolute"),
        ("train/no/1.png", (0,), ""),
        ("train/yes/2.png", (1,), ""),
    ]


def test_one_class_and_images_outside_of_class_folders_are_refused():
    with pytest.raises(UsageError, match="one class a: two are needed"):
        records_of("a/1.png", "a/2.png")
    with pytest.raises(UsageError, match="no images in class folders"):
        records_of("a.png", "notes/readme.txt")
    with pytest.raises(
        UsageError, match=r"no images in class folders \(but 2 of no images \(\*.zip"
    ):
        records_of("a.zip", "b/c.zip")


def test_a_pattern_finds_the_patient():
    records = source_of("no/p1_x.png", "yes/p2_x.png", patient_regex=r"p\d").records()
    assert [r.patient for r in records] == ["p1", "p2"]


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.dcm" for n in range(4)],  # flat
        ["export/DICOMDIR", *(f"export/{n}.dcm" for n in range(4))],
        [f"study{n}/series1/{n}.dcm" for n in range(12)],  # more folders than classes
    ],
)
def test_dicom_files_without_class_folders_are_unlabelled_and_it_is_said(names: list[str]):
    source = source_of(*names)
    assert (source.labels, source.classes, source.exclusive) == ((), (), False)
    images = [name for name in names if name.endswith("dcm")]
    assert [(name, place.split) for name, place in source._places] == [
        (name, "") for name in sorted(images)
    ]
    said = source.reading.describe("memory")
    assert "an unlabelled set" in said and "warning: no image has a label" in said


def test_what_is_said_of_classes_or_is_no_dicom_is_not_taken_as_unlabelled():
    flat = [f"{n}.png" for n in range(4)]
    with pytest.raises(UsageError, match="no images in class folders"):
        source_of(*flat)
    assert source_of(*flat, unlabelled=True).labels == ()
    with pytest.raises(UsageError, match="--class_level=2: --source=memory has no folders"):
        source_of("a.dcm", "b.dcm", class_level=2)
    with pytest.raises(UsageError, match="can be read in 2 ways"):
        source_of(*(f"{a}/{b}/{n}.dcm" for a in "ab" for b in "xy" for n in range(9)))
