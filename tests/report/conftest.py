"""What the tests of pages share: a finished run of three epochs, and a reader of pages."""

import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from trainer.show.pictures.tiles import Sheet
from trainer.training.run_files import SPLITS

CLASSES = ["NORMAL", "PNEUMONIA"]
MEASURES = {
    "loss": 0.25,
    "accuracy": 0.9,
    "auc": 0.95,
    "average_precision": 0.94,
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
    "dataset_fingerprint": "f1e2d3c4",
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
        "average_precision": estimate(0.961),
        "labels": {
            "PNEUMONIA": {
                "positive": 195,
                "negative": 115,
                "auc": estimate(0.974),
                "average_precision": estimate(0.961),
                "calibration": {
                    "temperature": 1.5,
                    "before": {"ece": 0.081, "brier": 0.1, "loss": 0.3},
                    "after": {"ece": 0.032, "brier": 0.09, "loss": 0.2},
                },
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


class FinishedRun:
    """A finished run in a folder, to change."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.write_json("config.json", CONFIG)
        self.write_json("environment.json", ENVIRONMENT)
        self.write_json("data_summary.json", DATA)
        self.write_json("history.json", [epoch(1), epoch(2), epoch(3)])
        lines = ["name,patient,label,score"]
        lines += [f"image{i},patient{i},{i % 2},{0.1 * (i % 10)}" for i in range(310)]
        for split in SPLITS:
            self.write_json(f"evaluation/{split}.json", evaluation(split))
            self.write(f"evaluation/{split}.csv", "\n".join(lines) + "\n")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_json(self, name, content):
        self.write(name, json.dumps(content))

    def read(self, name):
        return json.loads((self.folder / name).read_text())

    def change(self, file, /, **fields):
        self.write_json(file, self.read(file) | fields)

    def add_picture(self, name, seed=0, side=16, groups=()):
        path = self.folder / f"pictures/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 255, (side, side, 3), np.uint8)
        path.write_bytes(Sheet(pixels, groups).png())

    def use_labels(self, names, images=130):
        """Makes it a run with several labels, of which the second is not always known."""
        (one,) = evaluation("test")["labels"].values()
        labels = {name: {**one, "positive": 10 + k} for k, name in enumerate(names)}
        counts = {"positive": 40, "negative": 50, "unknown": 10}
        test = {"images": 100, "patients": 90, "per_label": dict.fromkeys(names, counts)}
        self.change("data_summary.json", labels=names, classes=[], splits={"test": test})
        rows = [epoch(1), epoch(2)]
        for row, split in itertools.product(rows, ("train", "validation")):
            row[split]["labels"] = {name: dict(MEASURES) for name in names}
        self.write_json("history.json", rows)
        random = np.random.default_rng(0)
        known = random.integers(0, 2, (images, len(names))).astype(str)
        known[:2] = ["0"], ["1"]
        known[2::2, 1] = ""
        scores = random.random((images, len(names))).round(4).astype(str)
        cells = np.stack([known, scores], axis=2).reshape(images, -1)
        head = [column for name in names for column in (f"label {name}", f"score {name}")]
        lines = [["name", "patient", *head]]
        lines += [[f"image{i}", f"patient{i}", *row] for i, row in enumerate(cells)]
        for split in SPLITS:
            self.change(f"evaluation/{split}.json", images=images, labels=labels, classes=[])
            self.write(f"evaluation/{split}.csv", "\n".join(map(",".join, lines)))


class Page(HTMLParser):
    """The text, the elements and the addresses of a page."""

    def __init__(self, html):
        super().__init__()
        self.html, self._words, self._hidden = html, [], False
        self.tags, self.addresses, self.ids, self.descriptions = [], [], [], []
        self.feed(html.replace("<wbr>", ""))
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self._hidden = tag in ("style", "script")
        names = ("src", "href", "xlink:href", "action", "data")
        self.addresses += [value for name, value in attrs if name in names]
        self.ids += [given["id"]] if "id" in given else []
        if tag in ("img", "svg"):
            self.descriptions.append(given.get("alt" if tag == "img" else "aria-label", ""))

    def handle_data(self, data):
        if not self._hidden:
            self._words.append(data)

    def handle_endtag(self, tag):
        self._hidden = False

    def check(self):
        """Checks what holds for every page: self-contained, accessible, honest."""
        kinds = ("data:image/png;base64,", "data:image/jpeg;base64,", "#")
        assert all(address.startswith(kinds) for address in self.addresses)
        assert not {"link", "iframe"} & set(self.tags)
        assert not re.search(
            r"fetch\(|XMLHttpRequest|import\(|https?://(?!www\.w3\.org/)", self.html
        )
        style = self.html.split("<style>")[1].split("</style>")[0]
        assert "@import" not in style and "url(" not in style
        assert not re.search(r"\son\w+=", self.html)
        assert all(self.descriptions)
        assert len(set(self.ids)) == len(self.ids)
        assert "Not a medical device." in self.text
        assert "must not be used to diagnose" in self.text


@pytest.fixture(scope="session")
def finished_run():
    """Writes a finished run into a folder."""
    return FinishedRun


@pytest.fixture
def run(tmp_path):
    """A finished run to change."""
    return FinishedRun(tmp_path / "run")


@pytest.fixture(scope="session")
def read_page():
    """Reads a page."""
    return lambda path: Page(path.read_text())
