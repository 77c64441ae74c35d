"""Behaviour of the report: one page that tells everything about a finished run."""

import itertools
import re

import pytest

from trainer.report import run_files, run_page
from trainer.system.errors import UsageError

PICTURES = (
    "train/samples",
    "train/augmented",
    "test/errors",
    "test/explanations/errors",
    "test/explanations/examples",
    "test/filters/conv2d",
    "test/activations/01_conv2d",
    "test/activations/02_max_pooling",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory, finish, page_at):
    """The page of a finished run with all its pictures."""
    run = finish(tmp_path_factory.mktemp("run"))
    for seed, name in enumerate(PICTURES):
        run.picture(name, seed)
    run.picture("test/activations_whole/01_conv2d", seed=99)
    return page_at(run_page.write(run.folder))


@pytest.fixture
def page_of(page_at):
    """Writes the page of a run."""
    return lambda run, *given: page_at(run_page.write(run.folder, *given))


def test_the_headline_gives_every_operating_point_with_its_intervals(page):
    text = page.text

    assert "AUC 0.974 0.954–0.994 Average precision 0.961 0.941–0.981" in text
    assert "Probability 0.5 threshold 0.50 Accuracy 93.1 % 91.1–95.1 %" in text
    assert "Chosen on validation threshold 0.73 Accuracy 91.9 % 89.9–93.9 %" in text
    assert text.count("Sensitivity 88.2 %") == text.count("Specificity 85.2 %") == 2
    assert "Calibration error (ECE) 0.081 0.032 at temperature 1.50" in text


def test_the_result_stands_beside_chance_and_published_figures(run, page_of):
    figures = "the article accuracy=0.9; Kermany 2018 accuracy=0.928 auc=0.968"
    run.change("config.json", report={"references": figures})

    text = page_of(run).text

    assert (
        "Always “PNEUMONIA” the commoner class of the test images 0.500 0.629 1.000 0.000" in text
    )
    assert "the article published – 0.900 – –" in text
    assert "Kermany 2018 published 0.968 0.928 – –" in text


def test_figures_given_with_the_report_go_before_those_of_the_config(run, page_of):
    run.change("config.json", report={"references": "old auc=0.9"})

    text = page_of(run, "new auc=0.8").text

    assert "new published 0.800" in text and "old published" not in text


def test_figures_that_cannot_be_read_are_refused(run):
    with pytest.raises(UsageError, match="report.references: 'x auc=2' must be|'auc=2' must be"):
        run_page.write(run.folder, "x auc=2")


def audit(auc):
    interval = {"value": auc, "low": auc - 0.05, "high": min(1, auc + 0.05)}
    relation = {"label": "PNEUMONIA", "traces": "encoding seen in the pixels", "holds": ""}
    relation |= {"train": interval, "test": None, "transfer": None, "typical": {}}
    told = {"severity": "danger", "about": "shortcuts", "title": "how it is encoded tells it"}
    told |= {"meaning": "Learn it not.", "advice": ["Prepare with --uniform."]}
    fine = {"severity": "ok", "about": "damage", "title": "all files can be read"}
    return {
        "prepared": False,
        "verdict": {"severity": "danger", "sentence": "Do not trust this."},
        "findings": [told, fine | {"meaning": "", "advice": []}],
        "shortcuts": {"relations": [relation], "too_few": []},
    }


def test_the_audits_findings_are_told_with_their_remedies(run, page_of):
    run.put("audit.json", audit(0.9))

    text = page_of(run).text

    assert "✕ Danger Do not trust this." in text
    assert "✕ Danger How it is encoded tells it Learn it not. Prepare with --uniform" in text
    assert "✓ Fine All files can be read." in text
    assert "Shortcut, no network encoding seen in the pixels 0.900 0.850–0.950" in text


@pytest.mark.parametrize(("auc", "warned"), [(0.96, True), (0.9, False)])
def test_a_shortcut_as_good_as_the_network_is_warned_of(run, page_of, auc, warned):
    run.put("audit.json", audit(auc))

    assert ("A shortcut does as well." in page_of(run).text) == warned


def test_without_an_audit_the_page_says_how_to_make_one(run, page_of):
    run.change("config.json", data={"path": "my data"})

    text = page_of(run).text

    assert "python -m trainer audit '--source=my data'" in text
    assert f"--out={run.folder}/audit.html" in text


def test_the_page_tells_the_run_its_data_and_how_to_repeat_it(page):
    text = page.text

    assert "tiny_run" in text and "22 November 2026" in text
    assert "1 h 5 min for 3 epochs" in text and "91 images/s" in text
    assert "Waiting for input 2.0 %" in text
    assert "Images 4,684 4,684 4,684 Patients 3,287" in text
    assert "NORMAL 1,208 26 % 1,208 26 %" in text and "PNEUMONIA 3,476 74 %" in text
    assert "broken.jpeg truncated" in text
    assert "train.schedule.name cosine" in text
    assert "tensorflow 2.21.0" in text
    assert "git checkout abc1234 python -m trainer.task --config=configs/tiny.py" in text


def test_the_page_holds_all_it_shows(page):
    kinds = ("data:image/png;base64,", "data:image/jpeg;base64,", "#")

    assert page.tags.count("img") == len(PICTURES) + 1
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(address.startswith(kinds) for address in page.addresses)
    assert "@import" not in page.style and "url(" not in page.style


def test_every_picture_and_chart_has_words_in_its_place(page):
    assert page.alone == []


def test_the_contents_lead_to_every_part_in_the_order_of_the_questions(page):
    parts = ["result", "errors", "explanations", "training", "data", "reproduce"]
    headings = [name for name in page.ids if name in parts]

    assert headings == parts
    assert [a[1:] for a in page.addresses if a[1:] in parts] == parts
    assert len(set(page.ids)) == len(page.ids)


def test_of_several_labels_each_has_its_row_and_its_charts(run, page_of):
    run.tell(["Edema", "Effusion", "Hernia"])

    page = page_of(run)

    assert "AUC, mean over the labels 0.974" in page.text
    assert "Effusion 11 of 126 0.974 0.954–0.994 0.961 0.941–0.981 0.882" in page.text
    assert "Hernia 40 40 % Hernia, not known 10 10 %" in page.text
    assert len(set(page.ids)) == len(page.ids)
    of_labels, of_all, of_each = 2, 1, 5
    assert page.tags.count("svg") == 5 + of_labels + of_all + 3 * of_each


def test_of_very_many_labels_it_is_said_which_have_charts(run, page_of, monkeypatch):
    monkeypatch.setattr(run_page, "LABELS_CHARTED", 2)
    run.tell(["Edema", "Effusion", "Hernia"])

    page = page_of(run)

    assert "Charts are drawn of the first 2 of 3 labels" in page.text
    assert "Hernia 12 of 127" in page.text


def test_a_label_without_a_test_image_has_no_chart_and_that_is_said(run, page_of):
    run.tell(["Edema", "Effusion"])
    rows = [f"image{i},patient{i},{i % 2},0.{i},,0.5" for i in range(10)]
    head = "name,patient,label Edema,score Edema,label Effusion,score Effusion"
    run.write("evaluation/test.csv", "\n".join([head, *rows]))

    assert "There is no test image of which it is known." in page_of(run).text


def test_the_layers_come_in_order_of_data_flow_with_all_channels_folded_away(run, page_of):
    for number, name in enumerate(("conv2d", "max_pooling"), 9):
        run.picture(f"test/activations/{number:02d}_{name}", number)
        run.picture(f"test/activations_whole/{number:02d}_{name}", number + (name == "conv2d"))

    text = page_of(run).text

    assert re.findall(r"All channels of conv2d|conv2d|max_pooling", text) == [
        "conv2d",
        "All channels of conv2d",
        "max_pooling",  # whose most active channels are all
    ]


def test_a_run_of_old_shows_its_pictures_too(run, page_of):
    for name in ("sample_sheet", "augmented", "activations/01_conv2d"):
        run.picture(name)
    old = run.read("evaluation/test.json")
    del old["average_precision"]
    (label,) = old["labels"].values()
    del label["average_precision"], label["calibration"]
    run.put("evaluation/test.json", old)
    history = run.read("history.json")
    for row, part in itertools.product(history, ("train", "validation")):
        del row[part]["average_precision"]
    run.put("history.json", history)

    page = page_of(run)

    assert page.tags.count("img") == 3
    assert "AUC 0.974" in page.text and "Calibration error" not in page.text


def test_pictures_beyond_the_page_are_named(run, monkeypatch):
    for seed, name in enumerate(PICTURES):
        run.picture(name, seed, side=200)
    monkeypatch.setattr(run_page, "MOST_BYTES", 300_000)

    page = run_page.write(run.folder).read_text()

    assert "<code>pictures/test/activations/02_max_pooling.png</code>" in page
    assert page.count("<img") < len(PICTURES)


def test_it_is_said_that_this_is_no_medical_device(page):
    assert "Not a medical device." in page.text


@pytest.mark.parametrize("synthetic", [True, False])
def test_phantoms_are_announced_and_only_they(run, page_of, synthetic):
    run.change("data_summary.json", synthetic=synthetic)

    announced = "Synthetic radiographs (phantoms), not patients" in page_of(run).text

    assert announced == synthetic


def test_text_of_the_run_cannot_become_markup(run, page_of):
    run.change("config.json", name="<script>alert(1)</script>")

    page = page_of(run, "<script>x</script> auc=0.5")

    assert "script" not in page.tags and "<script>alert(1)</script>" in page.text


def test_a_run_without_pictures_has_a_report(run, page_of):
    page = page_of(run)

    assert "img" not in page.tags and "Inner layers" not in page.text
    assert "#explanations" not in page.addresses
    assert "93.1 %" in page.text


def test_a_run_of_one_epoch_without_git_has_a_report(run, page_of):
    run.put("history.json", run.read("history.json")[:1])
    run.change("environment.json", git_commit=None)

    text = page_of(run).text

    assert "1 epoch;" in text and "21 min 40 s" in text
    assert "not recorded" in text and "git checkout" not in text


def test_undefined_numbers_are_called_so(run, page_of):
    nothing = {"value": None, "low": None, "high": None}
    one_class = run.read("evaluation/test.json") | {"auc": nothing, "average_precision": nothing}
    (label,) = one_class["labels"].values()
    label |= {"auc": nothing, "average_precision": nothing, "negative": 0}
    label["calibration"]["before"]["ece"] = label["calibration"]["after"]["ece"] = None
    label["operating_points"] = label["operating_points"][:1]
    label["operating_points"][0] |= {"specificity": nothing, "confusion": [[0, 0], [23, 172]]}
    run.put("evaluation/test.json", one_class)
    rows = [f"image{i},patient{i},1,{0.1 * i}" for i in range(10)]
    run.write("evaluation/test.csv", "\n".join(["name,patient,label,score", *rows]))
    history = run.read("history.json")
    history[0]["validation"]["auc"] = None
    run.put("history.json", history)

    text = page_of(run).text

    assert "AUC undefined" in text and "Specificity undefined" in text
    assert "None" not in text and "nan" not in text


def test_an_older_report_is_replaced_and_nothing_else_is_left(run):
    run.write("report.html", "old")
    before = sorted(run.folder.iterdir())

    written = run_page.write(str(run.folder))

    assert written.read_text().startswith("<!doctype html>")
    assert sorted(run.folder.iterdir()) == before


@pytest.mark.parametrize("record", run_files.RECORDS)
def test_a_missing_record_is_named_and_no_report_written(run, record):
    (run.folder / record).unlink()

    with pytest.raises(UsageError, match=f"lacks {re.escape(record)}: train it"):
        run_page.write(run.folder)
    assert not (run.folder / "report.html").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no run at .*nowhere"):
        run_page.write(tmp_path / "nowhere")


def test_a_run_before_its_first_epoch_is_told_how_to_go_on(run):
    run.put("history.json", [])

    with pytest.raises(UsageError, match="no epoch yet: .*--config=configs/tiny.py"):
        run_page.write(run.folder)


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ("history.json", "[{"),
        ("audit.json", "{"),
        ("evaluation/test.csv", "name,score\na,0.5\n"),
        ("evaluation/test.csv", "name,patient,label,score\na,b,x,0.5\n"),
        ("evaluation/test.csv", "name,patient,label,score\na,b\n"),
    ],
)
def test_a_damaged_record_is_named(run, record, content):
    run.write(record, content)

    with pytest.raises(UsageError, match=f"{record} cannot be read"):
        run_page.write(run.folder)
