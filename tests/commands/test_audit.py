"""The command writes a page and a JSON that say the same, and nothing else."""

import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from etils import epath
from PIL import Image

from tests.memory_sources import Memory
from trainer.commands import audit, source_flags
from trainer.data import sources
from trainer.data.audit import suspected_labels
from trainer.data.audit.inspection import InspectedFile
from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.reading import Group, Reading
from trainer.report import audit_page
from trainer.system.errors import CannotWrite, UsageError

MARKUP = '"><script>alert(1)</script>'
LABEL = '"><script>$x^{'


def picture(seed: int, quality: int) -> bytes:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.uniform(0, 255, (16, 16)).astype(np.float32))
    file = io.BytesIO()
    image = coarse.resize((96, 80), Image.Resampling.BICUBIC).convert("L")
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def source_of(files: dict[ImageRecord, bytes], **options) -> Memory:
    defaults = {"name": "files", "synthetic": False, "identifying": False}
    names = {"labels": (LABEL,), "classes": ("WELL", LABEL)}
    return Memory(files=files, **defaults | names | options)


class Page(HTMLParser):
    """The tags and the visible text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit of classes with other JPEG qualities, hostile names, and one copy."""
    files = {}
    for i in range(40):
        name = f"{i}{MARKUP}\udcff.jpeg"
        record = ImageRecord(name, (i % 2,), f"<script>{i}", "train", place=str(i))
        files[record] = picture(i, 60 if i % 2 else 95)
    files[ImageRecord("copy.jpeg", (0,), "p99", "test", place="copy")] = picture(0, 95)
    folder = tmp_path_factory.mktemp("audit")
    audit.write(source_of(files), epath.Path(folder / "audit.html"))
    return folder


def test_the_page_holds_everything_and_the_json_says_the_same(folder: Path):
    assert {file.name for file in folder.iterdir()} == {"audit.html", "audit.json"}
    facts = json.loads((folder / "audit.json").read_text())
    text = (folder / "audit.html").read_text()
    page = Page(text)
    assert facts["verdict"]["severity"] == "danger"
    assert facts["verdict"]["sentence"] in page.text
    shown = 2 * audit_page.IMAGES_SHOWN  # of each class
    assert page.tags.count("img") == shown + 2  # the copy and its original
    assert "svg" in page.tags
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_classes_that_are_encoded_differently_are_a_danger(folder: Path):
    findings = json.loads((folder / "audit.json").read_text())["findings"]
    dangers = [finding["title"] for finding in findings if finding["severity"] == "danger"]
    assert any(
        title.startswith(f"how the file is encoded predicts {LABEL} with an AUC of 1.00")
        for title in dangers
    )
    assert any(title.startswith("how the pixels were encoded predicts") for title in dangers)


def test_hostile_names_are_text_and_no_markup(folder: Path):
    page = Page((folder / "audit.html").read_text())
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_an_identifying_source_is_shown_by_hashes_and_without_pictures(tmp_path: Path):
    files = {
        ImageRecord("Jane_Doe/1", (0,), "Jane Doe", "train", "Jane_Doe/1"): picture(1, 90),
        ImageRecord("Jane_Doe/2", (1,), "Jane Doe", "test", "Jane_Doe/2"): picture(1, 90),
    }
    source = source_of(files, name="/data/Jane_Doe", identifying=True)
    facts = audit.write(source, epath.Path(tmp_path / "audit.html"), salt="a")
    assert facts["duplicates"]["exact"]["groups"] == 1
    assert len(facts["patients"]["across"]) == 1
    for written in tmp_path.iterdir():
        assert not re.search("Jane|Doe", written.read_text())
    assert "img" not in Page((tmp_path / "audit.html").read_text()).tags


def test_images_of_each_class_are_shown_of_different_patients():
    rows = [(f"{n}.jpeg", n % 2, f"p{n // 8}") for n in range(80)]
    files = {
        ImageRecord(name, (label,), patient): picture(n, 90)
        for n, (name, label, patient) in enumerate(rows)
    }
    source = source_of(files, classes=("WELL", "SICK"), labels=("SICK",))
    usable = [InspectedFile(record) for record in files]
    facts = {"labels": ["SICK"], "classes": ["WELL", "SICK"], "identifying": False}
    sheets = audit_page._sheets(facts, usable, source)
    assert {name: len(images) for name, images in sheets.items()} == {"WELL": 8, "SICK": 8}
    names = [int(name.removesuffix(".jpeg")) for name, _ in sheets["SICK"]]
    assert all(n % 2 for n in names) and len({n // 8 for n in names}) == 8
    several = audit_page._sheets({**facts, "classes": [], "labels": ["SICK"]}, usable, source)
    assert list(several) == ["SICK", "none of them"]
    assert audit_page._sheets({**facts, "identifying": True}, usable, source) == {}


@pytest.mark.parametrize(
    ("expected", "severity", "excess"), [(0.3, "look", "does not explain"), (1.8, "ok", "explains")]
)
def test_suspected_labels_of_a_cross_validation_stand_beside_those_of_chance(
    tmp_path: Path, expected: float, severity: str, excess: str
):
    files = {
        ImageRecord(f"{name}{n}.png", (n % 2,), place=f"{n}"): picture(n, 90)
        for n, name in enumerate(["=a", "b", MARKUP, "d"])
    }
    counts = {"label_errors": {LABEL: {"suspected": 2, "expected": expected}}}
    (tmp_path / "folds.json").write_text(json.dumps(counts))
    table = ["name,patient,labelled,probably,margin", f"b1.png,p,{'SICK'},WELL,0.25"]
    (tmp_path / "label_errors.csv").write_text("\n".join([*table, "'=a0.png,p,WELL,SICK,0.5"]))
    found = suspected_labels.read(tmp_path)
    facts = audit.write(source_of(files), epath.Path(tmp_path / "a.html"), label_errors=found)
    (finding,) = [each for each in facts["findings"] if each["about"] == "label_errors"]
    assert (finding["severity"], excess in finding["meaning"]) == (severity, True)
    assert f"if all were right, {expected} would look so" in finding["title"]
    assert [image["name"] for image in facts["label_errors"]["images"]] == ["=a0.png", "b1.png"]
    text = Page((tmp_path / "a.html").read_text()).text
    assert "labelled WELL, probably SICK, by 0.50" in text
    others = source_of(dict(list(files.items())[2:]))
    with pytest.raises(UsageError, match="which --source=files does not have"):
        audit.write(others, epath.Path(tmp_path / "b.html"), label_errors=found)
    with pytest.raises(UsageError, match="lacks folds.json and label_errors.csv"):
        suspected_labels.read(tmp_path / "none")


@pytest.mark.parametrize("identifying", [False, True])
def test_copies_that_are_left_out_are_counted_in_the_audit(tmp_path: Path, identifying: bool):
    left_out = {"copies": Group(3, "again/Jane_Doe.png")}
    reading = Reading("the class is folder 1 of a path", {}, left_out=left_out)
    damaged = {ImageRecord("a.png", (0,), place="a"): b""}
    source = source_of(damaged, reading=reading, identifying=identifying)
    facts = audit.write(source, epath.Path(tmp_path / "audit.html"))
    assert facts["reading"]["left_out"]["copies"]["files"] == 3
    page = Page((tmp_path / "audit.html").read_text()).text
    assert "the class is folder 1 of a path" in page and "copies" in page
    assert ("Jane_Doe" in page) != identifying


def test_a_source_of_nothing_but_damage_has_a_page(tmp_path: Path):
    damaged = source_of({ImageRecord("a.png", (0,), place="a"): b""})
    facts = audit.write(damaged, epath.Path(tmp_path / "audit.html"))
    assert facts["sizes"] is None
    assert "Too few images to measure" in (tmp_path / "audit.html").read_text()


def test_the_charts_of_several_labels_are_named_apart_and_share_no_ids():
    interval = {"value": 0.6, "low": 0.5, "high": 0.7}
    relations = [
        {"label": label, "traces": "width", "train": interval, "test": None, "transfer": None}
        for label in ("Edema", "Hernia")
    ]
    drawn = audit_page._shortcut_charts({"shortcuts": {"relations": relations}})
    one, other = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawn.values())
    assert one and not one & other
    assert all(f'aria-label="AUC chart {n}"' in svg for n, svg in enumerate(drawn.values(), 1))


def test_no_size_is_written_beyond_its_chart():
    usable = [
        InspectedFile(
            ImageRecord(f"{n}.png", (n % 2,)), features=SimpleNamespace(width=304 + n, height=679)
        )
        for n in range(1872)
    ]
    facts = {"sizes": {"different": 2}, "classes": ["WELL", "SICK"]}
    width, _ = audit_page._size_charts(facts, usable)
    assert ">2000<" in width and ">2250<" not in width


def parsed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Gives the command these arguments."""
    assert "source" not in flags.FLAGS and "any_view" not in flags.FLAGS  # only programs define
    values = flags.FlagValues()
    audit.define_flags(values)
    values(["audit", *arguments])
    monkeypatch.setattr(flags, "FLAGS", values)


def test_the_source_flags_are_those_of_the_options(monkeypatch: pytest.MonkeyPatch):
    parsed(monkeypatch, "--source=a", "--label_columns=a,b", "--uncertain=positive", "--any_view")
    assert source_flags.options(flags.FLAGS) == sources.Options(
        label_columns=("a", "b"), uncertain="positive", any_view=True
    )


def test_a_page_of_another_kind_or_in_no_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for out, sentence in (("audit.txt", "must end in .html"), ("no/a.html", "does not exist")):
        parsed(monkeypatch, "--source=phantom:40", f"--out={tmp_path / out}")
        with pytest.raises(UsageError, match=sentence):
            audit.main([])
        monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_known_before_any_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parsed(monkeypatch, "--source=phantom:40", f"--out={tmp_path / 'audit.html'}")
    monkeypatch.setattr(os, "access", lambda folder, mode: mode != os.W_OK)
    with pytest.raises(CannotWrite, match=f"{tmp_path} cannot be written: Permission denied"):
        audit.main([])


@pytest.mark.slow
def test_the_command_prints_the_verdict_and_writes_both_files(tmp_path: Path):
    command = [sys.executable, "-m", "trainer", "audit", "--source=phantom:40"]
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'audit.html'}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "audit.json").read_text())
    assert facts["verdict"]["sentence"] in done.stdout
    assert (tmp_path / "audit.html").exists()
