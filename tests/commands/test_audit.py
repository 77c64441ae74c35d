"""An audit says whether data can be trusted, what each finding means, and what to do."""

import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from etils import epath
from PIL import Image

from trainer.commands import audit, prepare, source_flags
from trainer.config import schema
from trainer.data import sources
from trainer.data.audit import audit as library
from trainer.data.audit import explanations
from trainer.data.audit.prepared import PreparedSource
from trainer.data.prepare import preparation
from trainer.data.sources.image_record import ImageRecord
from trainer.report import audit_page
from trainer.system.errors import UsageError


def picture(seed: int, kind: str = "PNG", **options) -> bytes:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.uniform(0, 255, (16, 16)).astype(np.float32))
    smooth = np.asarray(coarse.resize((96, 80), Image.Resampling.BICUBIC))
    pixels = np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@dataclass
class Files:
    """A source whose files are in memory."""

    files: dict[str, bytes] = field(default_factory=dict)
    found: list[ImageRecord] = field(default_factory=list)
    name: str = "files"
    synthetic: bool = False
    identifying: bool = False
    fingerprint: str = "0"
    labels: tuple[str, ...] = ("SICK",)
    classes: tuple[str, ...] = ("WELL", "SICK")

    def add(
        self, name: str, data: bytes, labels: tuple[int, ...], patient: str = "", split: str = ""
    ) -> "Files":
        self.files[name] = data
        self.found.append(ImageRecord(name, labels, patient, split, place=name))
        return self

    def records(self) -> list[ImageRecord]:
        return self.found

    def read(self, record: ImageRecord) -> bytes:
        return self.files[record.place]


def titles(facts: dict, severity: str) -> str:
    return "; ".join(f["title"] for f in facts["findings"] if f["severity"] == severity)


def audited(source: Files) -> dict:
    return library.audit(source)[0]


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


def encoded_by_class(images: int = 60) -> Files:
    """The sick are of a coarse JPEG quality, the well of a fine one with EXIF."""
    source = Files()
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    for i in range(images):
        sick = i % 2
        options = {"quality": 60} if sick else {"quality": 95, "exif": exif}
        source.add(f"{i}.jpeg", picture(i, "JPEG", **options), (sick,), f"p{i}", "train")
    return source


def test_clean_data_are_said_to_be_clean():
    source = Files()
    for i in range(60):
        split = "test" if i % 3 == 0 else "train"
        source.add(f"{i}.png", picture(i), (i // 3 % 2,), f"p{i}", split)
    facts = audited(source)
    assert facts["verdict"] == {
        "severity": "ok",
        "sentence": "Nothing was found that speaks against these data.",
    }


def test_an_encoding_that_tells_the_class_is_a_danger():
    facts = audited(encoded_by_class())
    assert facts["verdict"]["severity"] == "danger"
    assert "how the file is encoded predicts SICK with an AUC of 1.00" in titles(facts, "danger")
    assert "how the pixels were encoded predicts SICK" in titles(facts, "danger")


def test_copies_across_splits_and_labels_that_disagree_are_dangers():
    source = Files().add("a.png", picture(1), (0,), "p1", "train")
    source.add("b.png", picture(2), (1,), "p2", "train").add(
        "c.png", picture(1), (1,), "p3", "test"
    )
    facts = audited(source)
    assert "the same pixels in two splits, 1 group" in titles(facts, "danger")
    assert "the same pixels with different labels, 1 group" in titles(facts, "danger")
    [group] = facts["duplicates"]["exact"]["members"]
    assert [member["name"] for member in group] == ["a.png", "c.png"]


def test_a_recompressed_copy_is_a_near_one():
    source = Files().add("a.png", picture(1), (0,), "p1", "train")
    source.add("b.jpeg", picture(1, "JPEG", quality=80), (0,), "p2", "test")
    near = audited(source)["duplicates"]["near"]
    assert (near["groups"], near["across"], near["conflicts"]) == (1, 1, 0)


def test_an_unknown_label_disagrees_with_nothing():
    source = Files().add("a.png", picture(1), (-1,)).add("b.png", picture(1), (1,))
    assert audited(source)["duplicates"]["exact"]["conflicts"] == 0


def test_a_patient_in_two_splits_is_a_danger():
    source = Files().add("a.png", picture(1), (0,), "p1", "train")
    source.add("b.png", picture(2), (1,), "p1", "test")
    facts = audited(source)
    assert facts["patients"]["across"] == ["p1"]
    assert "1 patient in more than one split" in titles(facts, "danger")


def test_the_same_number_in_another_series_is_another_patient():
    source = Files().add("a.png", picture(1), (0,), "person_virus-3", "train")
    source.add("b.png", picture(2), (1,), "person_bacteria-3", "test")
    facts = audited(source)
    assert facts["patients"]["shared_numbers"] == 1
    assert "1 number in more than one split, but of different series" in titles(facts, "ok")


def test_nothing_that_tells_the_patient_is_worth_a_look():
    source = Files().add("a.png", picture(1), (0,)).add("b.png", picture(2), (1,))
    assert "the patients are not known" in titles(audited(source), "look")


def test_damaged_files_are_listed_with_their_reason():
    source = Files().add("a.png", picture(1), (0,)).add("b.jpeg", b"", (1,))
    source.add("c.png", b"neither an image nor long", (1,))
    source.found.append(ImageRecord("d.png", (1,), refused="a link"))
    facts = audited(source)
    assert {f["name"]: f["reason"] for f in facts["damage"]["files"]}.keys() == {
        *("b.jpeg", "c.png", "d.png")
    }
    assert facts["splits"]["all"] | {"per_label": 0} == {
        **{"images": 1, "patients": 0, "refused": 3, "per_label": 0}
    }
    assert "3 files of 4 cannot be used" in titles(facts, "danger")


def test_a_source_of_nothing_but_damage_has_a_page(tmp_path: Path):
    facts = audit.write(Files().add("a.png", b"", (0,)), epath.Path(tmp_path / "audit.html"))
    assert facts["sizes"] is None
    assert "Too few images to measure" in (tmp_path / "audit.html").read_text()


def test_an_empty_source_is_refused():
    with pytest.raises(UsageError, match="files holds no images"):
        library.audit(Files())


def test_the_page_holds_everything_and_the_json_says_the_same(tmp_path: Path):
    source = encoded_by_class(20)
    source.add("copy.jpeg", source.files["0.jpeg"], (0,), "p99", "test")
    facts = audit.write(source, epath.Path(tmp_path / "audit.html"))
    assert json.loads((tmp_path / "audit.json").read_text()) == facts
    assert {file.name for file in tmp_path.iterdir()} == {"audit.html", "audit.json"}
    text = (tmp_path / "audit.html").read_text()
    page = Page(text)
    assert facts["verdict"]["sentence"] in page.text
    assert page.tags.count("img") == 2
    assert "svg" in page.tags and "script" not in page.tags
    assert not re.search(r'(src|href)="(?!data:|#)', text)


def test_hostile_names_are_text_and_no_markup(tmp_path: Path):
    name = '"><script>alert(1)</script>\udcff.png'
    source = Files(labels=('"><script>$x^{',), classes=("WELL", '"><script>$x^{'))
    for i in range(24):
        source.add(f"{i}{name}", picture(i % 23), (i % 2,), f"<script>{i}", "train")
    audit.write(source, epath.Path(tmp_path / "audit.html"))
    page = Page((tmp_path / "audit.html").read_text())
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_an_identifying_source_is_shown_by_hashes_and_without_pictures(tmp_path: Path):
    source = Files(name="/data/Jane_Doe", identifying=True)
    source.add("Jane_Doe/1.png", picture(1), (0,), "Jane Doe", "train")
    source.add("Jane_Doe/2.png", picture(1), (1,), "Jane Doe", "test")
    facts = audit.write(source, epath.Path(tmp_path / "audit.html"), salt="a")
    assert facts["duplicates"]["exact"]["groups"] == 1
    assert len(facts["patients"]["across"]) == 1
    for written in tmp_path.iterdir():
        assert not re.search("Jane|Doe", written.read_text())
    assert "img" not in Page((tmp_path / "audit.html").read_text()).tags


def test_a_prepared_data_set_can_be_audited(phantoms: epath.Path):
    source = PreparedSource(phantoms)
    facts = library.audit(source)[0]
    summary = json.loads((phantoms / "data_summary.json").read_text())
    assert facts["prepared"] and facts["synthetic"]
    for split, shown in (("train", "train"), ("validation", "val"), ("test", "test")):
        assert facts["splits"][shown]["images"] == summary["splits"][split]["images"]
        assert facts["splits"][shown]["patients"] == summary["splits"][split]["patients"]
        assert facts["splits"][shown]["per_label"] == summary["splits"][split]["per_label"]


def test_a_folder_without_a_prepared_data_set_is_none(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no prepared data set"):
        PreparedSource(epath.Path(tmp_path))


@pytest.mark.slow
def test_preparing_uniformly_removes_what_tells_the_class_by_encoding(tmp_path: Path):
    """The grey JPEGs are small enough to be kept as they are, unless `uniform`."""
    folder = tmp_path / "source"
    for name, data in encoded_by_class(120).files.items():
        number = int(name.removesuffix(".jpeg"))
        file = folder / ("SICK" if number % 2 else "NORMAL") / f"IM-{number:04d}-1.jpeg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    auc = {}
    for uniform in (False, True):
        out = epath.Path(tmp_path / f"{uniform}")
        preparation.prepare(sources.open_source(str(folder)), out, max_side=128, uniform=uniform)
        facts = library.audit(PreparedSource(out))[0]
        auc[uniform] = {
            r["traces"]: r["train"]["value"] for r in facts["shortcuts"]["relations"] if r["train"]
        }
    for group in ("JPEG quantisation tables", "encoding seen in the pixels"):
        assert auc[False][group] > 0.95
        assert auc[True][group] < 0.6


def test_every_option_that_is_advised_exists():
    known = flags.FlagValues()
    prepare.define_flags(known)
    advice = " ".join(
        step for kind in explanations.EXPLANATIONS for step in (*kind.advice, kind.meaning)
    )
    named = re.findall(r"--([a-z_.]+)", advice)
    assert "uniform" in named and "config.augment.compression_range" in named
    for option in named:
        field_name = option.removeprefix("config.")
        assert field_name in schema.FIELDS if option != field_name else option in known, option


def test_the_source_flags_are_those_of_the_options():
    values = flags.FlagValues()
    source_flags.define(values)
    values(["audit", "--label_columns=a,b", "--uncertain=positive", "--any_view"])
    assert source_flags.options(values) == sources.Options(
        label_columns=("a", "b"), uncertain="positive", any_view=True
    )


@pytest.mark.slow
def test_importing_the_programs_defines_no_flags():
    code = (
        "from absl import flags; from trainer.commands import audit, source_flags; "
        "assert not {'source', 'patient_regex', 'any_view'} & set(flags.FLAGS)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "trainer", "audit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_command_prints_the_verdict_and_writes_both_files(tmp_path: Path):
    done = run("--source=phantom:40", f"--out={tmp_path / 'audit.html'}")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "audit.json").read_text())
    assert facts["verdict"]["sentence"] in done.stdout
    assert (tmp_path / "audit.html").exists()


def test_a_page_of_another_kind_is_refused_in_one_sentence(tmp_path: Path):
    done = run("--source=phantom:40", f"--out={tmp_path / 'audit.txt'}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: --out=")
    assert "must end in .html" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("identifying", [False, True])
def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path, identifying: bool):
    class Failing(Files):
        def read(self, record: ImageRecord) -> bytes:
            return (tmp_path / "Jane_Doe").read_bytes()

    source = Failing(identifying=identifying).add("a.png", b"", (0,))
    [file] = audited(source)["damage"]["files"]
    assert file["reason"].startswith("cannot be read: ")
    assert ("Jane_Doe" in file["reason"]) != identifying


def test_the_charts_of_several_labels_are_named_apart_and_share_no_ids():
    interval = {"value": 0.6, "low": 0.5, "high": 0.7}
    relations = [
        {"label": label, "traces": "width", "train": interval, "test": None, "transfer": None}
        for label in ("Edema", "Hernia")
    ]
    drawn = audit_page._shortcut_charts({"shortcuts": {"relations": relations}})
    one, other = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawn.values())
    assert one and not one & other
    assert [f'aria-label="AUC chart {n}"' in svg for n, svg in enumerate(drawn.values(), 1)] == [
        True,
        True,
    ]
