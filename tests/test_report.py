"""Behaviour of the report: one page that tells everything about a finished run."""

import copy
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from trainer import pictures, report
from trainer.entry import Refusal

CLASSES = ["NORMAL", "PNEUMONIA"]
MEASURES = {
    "loss": 0.25,
    "accuracy": 0.9,
    "auc": 0.95,
    "sensitivity": 0.92,
    "specificity": 0.84,
}
CONFIG = {"name": "tiny_run", "seed": 7, "train": {"epochs": 3, "schedule": {"name": "cosine"}}}
ENVIRONMENT = {
    "command": "python -m trainer.task --config=configs/tiny.py",
    "versions": {"tensorflow": "2.21.0"},
    "devices": ["CPU:0"],
    "git_commit": "abc1234",
    "started": "2026-11-22T10:00:00+00:00",
}
DATA = {
    "source": "Some hospital",
    "synthetic": False,
    "labels": CLASSES[1:],
    "classes": CLASSES,
    "splits": {
        name: {
            "images": 4684,
            "patients": 3287,
            "per_label": {"PNEUMONIA": {"positive": 3476, "negative": 1208, "unknown": 0}},
        }
        for name in ("train", "validation", "test")
    },
    "skipped": [{"name": "broken.jpeg", "reason": "truncated"}],
}


def estimate(value, margin=0.02):
    return {"value": value, "low": value - margin, "high": value + margin}


def evaluation(split):
    points = [("probability 0.5", 0.5, 0.931), ("chosen on validation", 0.73, 0.919)]
    return {
        "split": split,
        "images": 310,
        "patients": 250,
        "classes": CLASSES,
        "epoch": 2,
        "step": 294,
        "loss": 0.2,
        "auc": estimate(0.974),
        "labels": {
            "PNEUMONIA": {
                "positive": 195,
                "negative": 115,
                "auc": estimate(0.974),
                "operating_points": [
                    {
                        "name": name,
                        "threshold": threshold,
                        "accuracy": estimate(accuracy),
                        "sensitivity": estimate(0.882),
                        "specificity": estimate(0.852),
                        "confusion": [[98, 17], [23, 172]],
                    }
                    for name, threshold, accuracy in points
                ],
            }
        },
    }


def epoch(number):
    train = {**MEASURES, "learning_rate": 1e-3, "images_per_second": 91.3, "input_wait": 0.02}
    return {
        "epoch": number,
        "step": 147 * number,
        "seconds": 1300.0,
        "train": train,
        "validation": dict(MEASURES),
    }


def put(run, name, content):
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def finish_run(run):
    """Writes a finished run of three epochs with its pictures."""
    put(run, "config.json", CONFIG)
    put(run, "environment.json", ENVIRONMENT)
    put(run, "data_summary.json", DATA)
    put(run, "history.json", [epoch(1), epoch(2), epoch(3)])
    for split in report.SPLITS:
        put(run, f"evaluation/{split}.json", evaluation(split))
        rows = [f"image{i},patient{i},{i % 2},{0.1 * i}" for i in range(10)]
        text = "\n".join(["name,patient,label,score", *rows]) + "\n"
        (run / f"evaluation/{split}.csv").write_text(text)
    folder = run / "pictures"
    (folder / "activations").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    names = ("sample_sheet", "augmented", "activations/01_conv2d", "activations/02_max_pooling")
    for index, name in enumerate(names):
        (folder / f"{name}.png").write_bytes(pictures.png(noise[index % 3]))
    return run


@pytest.fixture
def run(tmp_path):
    """A finished run to change."""
    return finish_run(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a finished run."""
    return page_of(finish_run(tmp_path_factory.mktemp("run")))


class Page(HTMLParser):
    """The text, the elements and the addresses of a page."""

    def __init__(self, html):
        super().__init__()
        self.words, self.tags, self.addresses, self._hidden = [], [], [], False
        self.style = html.split("<style>")[1].split("</style>")[0]
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._hidden = tag in ("style", "script")
        names = ("src", "href", "xlink:href", "action", "data")
        self.addresses += [value for name, value in attrs if name in names]

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)

    def handle_endtag(self, tag):
        self._hidden = False


def page_of(run):
    return Page(report.write(run).read_text())


def test_the_headline_gives_every_operating_point_with_its_intervals(page):
    text = page.text

    assert "0.974 0.954–0.994" in text
    assert "Probability 0.5 threshold 0.50 Accuracy 93.1 % 91.1–95.1 %" in text
    assert "Chosen on validation threshold 0.73 Accuracy 91.9 % 89.9–93.9 %" in text
    assert text.count("Sensitivity 88.2 %") == text.count("Specificity 85.2 %") == 2


def test_the_page_tells_the_run_its_data_and_how_to_repeat_it(page):
    text = page.text

    assert "tiny_run" in text and "22 November 2026" in text
    assert "1 h 5 min" in text and "91 images/s" in text
    assert "Images 4,684 4,684 4,684 Patients 3,287" in text
    assert "NORMAL 1,208 26 % 1,208 26 %" in text and "PNEUMONIA 3,476 74 %" in text
    assert "broken.jpeg truncated" in text
    assert "train.schedule.name cosine" in text
    assert "tensorflow 2.21.0" in text
    assert "git checkout abc1234 python -m trainer.task --config=configs/tiny.py" in text


def test_the_confusion_matrix_has_counts_and_shares_of_the_actual_class(page):
    text = page.text

    assert "NORMAL 98 85.2 % 17 14.8 %" in text
    assert "PNEUMONIA 23 11.8 % 172 88.2 %" in text


def test_the_page_holds_all_it_shows(page):
    assert page.tags.count("img") == 4 and page.tags.count("svg") == 5
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert "@import" not in page.style and "url(" not in page.style


def test_of_several_labels_each_has_its_row_its_curves_and_its_confusion_matrix(run):
    names = ["Edema", "Effusion", "Hernia"]
    (one,) = evaluation("test")["labels"].values()
    labels = {name: {**one, "positive": 10 + k} for k, name in enumerate(names)}
    counts = {"positive": 40, "negative": 50, "unknown": 10}
    splits = {"test": {"images": 100, "patients": 90, "per_label": dict.fromkeys(names, counts)}}
    put(run, "data_summary.json", DATA | {"labels": names, "classes": [], "splits": splits})
    rows = [epoch(1), epoch(2)]
    for row, split in itertools.product(rows, ("train", "validation")):
        row[split]["labels"] = {name: dict(MEASURES) for name in names}
    put(run, "history.json", rows)
    columns = [column for name in names for column in (f"label {name}", f"score {name}")]
    scores = [f"image{i},patient{i},{i % 2},0.{i},,0.5,{i % 2},0.{9 - i}" for i in range(10)]
    for split in report.SPLITS:
        several = evaluation(split) | {"labels": labels, "classes": []}
        put(run, f"evaluation/{split}.json", several)
        text = "\n".join([",".join(["name", "patient", *columns]), *scores])
        (run / f"evaluation/{split}.csv").write_text(text)

    page = page_of(run)

    assert "AUC, mean over the labels 0.974" in page.text
    assert "Effusion 11 of 126 0.974 0.954–0.994 0.882" in page.text
    assert "Hernia 40 40 % Hernia, not known 10 10 %" in page.text
    assert page.text.count("absent 98 85.2 % 17 14.8 %") == 2 * len(names)
    assert page.tags.count("svg") == 4 + 2 + 1


def test_the_pictures_are_the_runs_own_in_order_of_data_flow(run):
    for number in range(10, 12):
        path = run / f"pictures/activations/{number}_late{number}.png"
        shutil.copy(run / "pictures/augmented.png", path)

    page = page_of(run)

    layers = re.findall(r"conv2d|max_pooling|late1\d", page.text)
    assert layers == ["conv2d", "max_pooling", "late10", "late11"]


def test_it_is_said_that_this_is_no_medical_device(page):
    assert "Not a medical device." in page.text


@pytest.mark.parametrize("synthetic", [True, False])
def test_phantoms_are_announced_and_only_they(run, synthetic):
    put(run, "data_summary.json", {**DATA, "synthetic": synthetic})

    announced = "Synthetic radiographs (phantoms), not patients" in page_of(run).text

    assert announced == synthetic


def test_text_of_the_run_cannot_become_markup(run):
    put(run, "config.json", {**CONFIG, "name": "<script>alert(1)</script>"})

    page = page_of(run)

    assert "script" not in page.tags and "<script>alert(1)</script>" in page.text


def test_a_run_without_pictures_has_a_report(run):
    shutil.rmtree(run / "pictures")

    page = page_of(run)

    assert "img" not in page.tags and "Inner layers" not in page.text
    assert "93.1 %" in page.text


def test_a_run_of_one_epoch_without_git_has_a_report(run):
    put(run, "history.json", [epoch(1)])
    put(run, "environment.json", {**ENVIRONMENT, "git_commit": None})

    text = page_of(run).text

    assert "1 epoch;" in text and "21 min 40 s" in text
    assert "not recorded" in text and "git checkout" not in text


def test_undefined_numbers_are_called_so(run):
    one_class = copy.deepcopy(evaluation("test"))
    nothing = {"value": None, "low": None, "high": None}
    one_class["auc"] = nothing
    (label,) = one_class["labels"].values()
    label["operating_points"] = label["operating_points"][:1]
    label["operating_points"][0] |= {"specificity": nothing, "confusion": [[0, 0], [23, 172]]}
    put(run, "evaluation/test.json", one_class)
    rows = epoch(1), epoch(2)
    rows[0]["validation"]["auc"] = None
    put(run, "history.json", rows)

    text = page_of(run).text

    assert "ROC curve undefined" in text and "Specificity undefined" in text
    assert "None" not in text and "nan" not in text


def test_an_older_report_is_replaced_and_nothing_else_is_left(run):
    (run / "report.html").write_text("old")
    before = sorted(run.iterdir())

    written = report.write(str(run))

    assert written.read_text().startswith("<!doctype html>")
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize("record", report.RECORDS)
def test_a_missing_record_is_named_and_no_report_written(run, record):
    (run / record).unlink()

    with pytest.raises(Refusal, match=f"lacks {re.escape(record)}: train it"):
        report.write(run)
    assert not (run / "report.html").exists()


def test_a_run_before_its_first_epoch_is_told_how_to_go_on(run):
    put(run, "history.json", [])

    with pytest.raises(Refusal, match="no epoch yet: .*--config=configs/tiny.py"):
        report.write(run)


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ("history.json", "[{"),
        ("evaluation/test.csv", "name,score\na,0.5\n"),
        ("evaluation/test.csv", "name,patient,label,score\na,b,x,0.5\n"),
        ("evaluation/test.csv", "name,patient,label,score\na,b\n"),
    ],
)
def test_a_damaged_record_is_named(run, record, content):
    (run / record).write_text(content)

    with pytest.raises(Refusal, match=f"{record} cannot be read"):
        report.write(run)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "trainer.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_writes_the_report_and_says_where(run):
    done = command(run)

    assert (done.returncode, done.stdout) == (0, f"{run / 'report.html'}\n")
    assert "93.1 %" in (run / "report.html").read_text()


def test_the_command_answers_a_missing_run_with_one_sentence(tmp_path):
    done = command(tmp_path / "nowhere")

    assert done.returncode == 2 and done.stdout == ""
    assert re.search(r"^error: there is no run at .*nowhere: give .*\.$", done.stderr, re.M)


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "RUN is missing"), (["a", "b"], "unexpected argument 'b'")]
)
def test_the_command_wants_one_run(arguments, said):
    done = command(*arguments)

    assert done.returncode == 2 and said in done.stderr
