"""An audit finds damage, copies, shared patients and shortcuts, and says how bad they are."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from etils import epath
from PIL import Image, ImageOps

from tests.memory_sources import Failing, Files
from trainer.commands import prepare
from trainer.config import schema
from trainer.data import sources
from trainer.data.audit import audit, explanations, shortcuts
from trainer.data.audit.prepared import PreparedSource, open_source
from trainer.data.prepare import preparation
from trainer.system.errors import UsageError


def picture(seed: int, kind: str = "PNG", **options) -> bytes:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.uniform(0, 255, (16, 16)).astype(np.float32))
    smooth = np.asarray(coarse.resize((96, 80), Image.Resampling.BICUBIC))
    pixels = np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def audited(*rows: tuple, **options) -> dict:
    return audit.audit(Files(rows, **options))[0]


def titles(facts: dict, severity: str) -> str:
    return "; ".join(f["title"] for f in facts["findings"] if f["severity"] == severity)


def test_clean_data_get_a_clean_verdict():
    rows = [(f"{i}.png", picture(i), i // 3 % 2, f"p{i}", "train") for i in range(40)]
    facts = audited(*rows)
    assert facts["verdict"] == {
        "severity": "ok",
        "sentence": "Nothing was found that speaks against these data.",
    }
    assert audit.describe(facts).startswith(facts["verdict"]["sentence"])


def test_copies_across_splits_and_labels_that_disagree_are_dangers():
    facts = audited(
        ("a.png", picture(1), 0, "p1", "train"),
        ("b.png", picture(2), 1, "p2", "train"),
        ("c.png", picture(1), 1, "p3", "test"),
        ("d.jpeg", picture(2, "JPEG", quality=80), 1, "p4", "test"),
    )
    assert "the same pixels in two splits, 1 group" in titles(facts, "danger")
    assert "the same pixels with different labels, 1 group" in titles(facts, "danger")
    [group] = facts["duplicates"]["exact"]["members"]
    assert [member["name"] for member in group] == ["a.png", "c.png"]
    near = facts["duplicates"]["near"]  # b.png and its recompressed copy
    assert (near["groups"], near["across"], near["conflicts"]) == (1, 1, 0)


def test_turned_and_mirrored_copies_across_splits_are_counted_apart():
    original = Image.open(io.BytesIO(picture(1)))
    facts = audited(
        ("a.png", picture(1), 0, "p1", "train"),
        ("b.png", png_of(ImageOps.mirror(original)), 0, "p2", "test"),
        ("c.png", png_of(original.rotate(90, expand=True)), 0, "p3", "test"),
        ("d.png", picture(2), 1, "p4", "test"),
    )
    assert facts["duplicates"]["near"]["groups"] == 0
    turned = facts["duplicates"]["turned"]
    assert (turned["groups"], turned["images"], turned["across"]) == (1, 3, 1)
    assert "the same picture, turned or mirrored, in two splits, 1 group" in titles(facts, "danger")


def png_of(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_an_unknown_label_disagrees_with_nothing():
    facts = audited(("a.png", picture(1), -1, "", ""), ("b.png", picture(1), 1, "", ""))
    assert facts["duplicates"]["exact"]["conflicts"] == 0
    assert "the patients are not known" in titles(facts, "look")


def test_a_patient_in_two_splits_is_a_danger():
    facts = audited(("a.png", picture(1), 0, "p1", "train"), ("b.png", picture(2), 1, "p1", "test"))
    assert facts["patients"]["across"] == ["p1"]
    assert "1 patient in more than one split" in titles(facts, "danger")


def test_the_same_number_in_another_series_is_another_patient():
    facts = audited(
        ("a.png", picture(1), 0, "person_virus-3", "train"),
        ("b.png", picture(2), 1, "person_bacteria-3", "test"),
    )
    assert facts["patients"]["shared_numbers"] == 1
    assert "1 number in more than one split, but of different series" in titles(facts, "ok")


def test_damaged_files_are_listed_with_their_reason():
    facts = audited(
        ("a.png", picture(1), 0, "", ""),
        ("b.jpeg", b"", 1, "", ""),
        ("c.png", b"neither an image nor long", 1, "", ""),
        ("d.png", b"", 1, "", ""),
        refused={"d.png": "a link"},
    )
    reasons = {f["name"]: f["reason"] for f in facts["damage"]["files"]}
    assert reasons == {"b.jpeg": "empty file", "c.png": "text, not an image", "d.png": "a link"}
    counts = facts["splits"]["all"]
    assert (counts["images"], counts["patients"], counts["refused"]) == (1, 0, 3)
    assert "3 files of 4 cannot be used" in titles(facts, "danger")


@pytest.mark.parametrize("identifying", [False, True])
def test_a_file_that_cannot_be_read_is_damage(identifying: bool):
    facts, _ = audit.audit(Failing([("a.png", b"", 0, "", "")], identifying=identifying))
    [file] = facts["damage"]["files"]
    assert file["reason"].startswith("cannot be read: ")
    assert ("Jane_Doe" in file["reason"]) != identifying


def test_an_empty_source_is_refused():
    with pytest.raises(UsageError, match="files holds no images"):
        audited()


def test_a_prepared_data_set_can_be_audited(
    phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shortcuts, "LEAST_IMAGES", 10**6)  # none are measured
    facts, _ = audit.audit(open_source(str(phantoms), sources.Options()))
    summary = json.loads((phantoms / "data_summary.json").read_text())
    assert facts["prepared"] and facts["synthetic"]
    for split, shown in (("train", "train"), ("validation", "val"), ("test", "test")):
        counts = {name: facts["splits"][shown][name] for name in summary["splits"][split]}
        assert counts == summary["splits"][split]
    with pytest.raises(UsageError, match="holds no prepared data set"):
        PreparedSource(epath.Path(tmp_path))


@pytest.mark.slow
def test_preparing_uniformly_hides_how_the_classes_were_encoded(tmp_path: Path):
    """The grey JPEGs are small enough to be kept as they are, unless `uniform`."""
    for number in range(120):
        file = tmp_path / "set" / ("NORMAL", "SICK")[number % 2] / f"IM-{number:04d}-1.jpeg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number, "JPEG", quality=(95, 60)[number % 2]))
    auc = {}
    for uniform in (False, True):
        out = epath.Path(tmp_path / f"{uniform}")
        source = sources.open_source(str(tmp_path / "set"))
        preparation.prepare(source, out, max_side=128, uniform=uniform)
        relations = audit.audit(PreparedSource(out))[0]["shortcuts"]["relations"]
        auc[uniform] = {r["traces"]: r["train"]["value"] for r in relations if r["train"]}
    for group in ("JPEG quantisation tables", "encoding seen in the pixels"):
        assert auc[False][group] > 0.95
        assert auc[True][group] < 0.6


def test_every_option_that_is_advised_exists():
    known = flags.FlagValues()
    prepare.define_flags(known)
    typical = {
        "positive": {"quality": 30.0, "aspect": 1.5, "mean": 180.0, "contrast": ""},
        "negative": {"quality": 0.0, "aspect": 1.0, "mean": 100.0, "contrast": 40.0},
    }
    advice = " ".join(
        step
        for found in explanations.EXPLANATIONS
        for step in (*found.advice(typical), *found.advice({}), found.meaning)
    )
    named = re.findall(r"--([a-z_.]+)(?:=([\w.]*\w))?", advice)
    given = dict(named)
    assert "uniform" in given and given["config.data.fit"] == "crop"
    for option, value in named:
        field_name = option.removeprefix("config.")
        if option == field_name:
            assert option in known
        else:
            assert value, option  # no option is advised without a value
            schema.parse(field_name, value)
    for values in ("compression_range=70", "zoom_range=0.2", "brightness_range=0.35"):
        assert f"--config.augment.{values}" in advice


def test_one_odd_file_of_many_is_a_note_and_several_are_not():
    rows = [(f"{i}.png", picture(i), i // 3 % 2, f"p{i}", "train") for i in range(53)]
    odd = [(f"odd{i}.png", b"no image", 0, f"q{i}", "train") for i in range(6)]
    one = audited(*rows, odd[0])
    assert one["verdict"]["severity"] == "ok"
    assert "1 file of 54 cannot be used" in titles(one, "ok")
    assert "6 files of 59 cannot be used" in titles(audited(*rows, *odd), "danger")


def test_a_kept_column_that_predicts_is_a_finding_with_its_interval(
    monkeypatch: pytest.MonkeyPatch,
):
    few = {"EXIF present": ("exif",), shortcuts.TOGETHER: shortcuts.EVERYTHING[shortcuts.TOGETHER]}
    monkeypatch.setattr(shortcuts, "EVERYTHING", few)
    rows = [(f"{i}.png", picture(i), i // 3 % 2, f"p{i}", "train") for i in range(40)]

    kept = {name: (("PA", "AP")[label],) for name, _, label, *_ in rows}
    facts = audited(*rows, columns=("view",), kept=kept)
    said = titles(facts, "danger")
    assert re.search(r"the column view predicts SICK with an AUC of 1\.00 \(.* to 1\.00\)", said)
    assert said in audit.describe(facts)
    [advice] = [f["advice"] for f in facts["findings"] if "column view" in f["title"]]
    assert "radiograph evaluate RUN --by=view" in advice[0]
