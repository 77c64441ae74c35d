"""The page that compares runs: results, differences, and settings that differ."""

import re

import pytest

from trainer.report import comparison
from trainer.system.errors import UsageError


def score(run, probability, name="image"):
    rows = [f"{name}{k},patient{k // 2},{k % 2},{probability(k)}" for k in range(80)]
    run.write("evaluation/test.csv", "\n".join(["name,patient,label,score", *rows]))
    run.change("evaluation/test.json", images=len(rows))


@pytest.fixture
def runs(tmp_path, finished_run):
    """Two finished runs; the second errs more often on the same images."""
    runs = [finished_run(tmp_path / name) for name in ("first", "second")]
    score(runs[0], lambda k: 0.5 + 0.1 * (k % 2) + 0.001 * k)
    score(runs[1], lambda k: 0.5 + 0.1 * (k % 4 == 1) + 0.001 * k)
    return runs


@pytest.fixture
def compare(read_page, tmp_path):
    """Compares runs, and reads the page."""
    return lambda *runs: read_page(
        comparison.write([run.folder for run in runs], tmp_path / "page.html")
    )


def test_runs_are_compared_on_the_same_images(runs, compare, tmp_path, finished_run):
    elsewhere = finished_run(tmp_path / "third")
    score(elsewhere, lambda k: 0.5, name="elsewhere")
    runs[0].change("data_summary.json", synthetic=True)

    page = compare(*runs, elsewhere)

    page.check()
    row = "0.974 0.954–0.994 0.961 0.941–0.981 0.919 0.899–0.939 0.882 0.862–0.902"
    assert all(f"{name} {row}" in page.text for name in ("first", "second", "third"))
    assert re.search(r"second −0\.2\d+ −0\.\d+ to −0\.1\d+", page.text)
    assert "third: tested on other images than first" in page.text
    assert page.tags.count("svg") == 4
    for title in ("ROC curves, test", "Validation AUC", "Validation loss", "Validation accuracy"):
        assert title in page.text
    assert "Epochs Kept epoch Images/s" in page.text
    assert "second 1 h 5 min 3 2 91 2.0 % 2026-11-22" in page.text
    assert "Some of the runs used synthetic radiographs (phantoms)" in page.text


def test_only_settings_that_differ_are_listed(runs, compare):
    runs[1].change("config.json", seed=8, data={"cache": "auto"})  # the latter is the default
    runs[1].change("environment.json", git_commit="def5678")

    text = compare(*runs).text

    assert "Field first second seed 7 8 git commit abc1234 def5678" in text
    assert "train.epochs" not in text and "devices" not in text and "data.cache" not in text
    assert "(phantoms)" not in text


def test_equal_runs_have_no_settings_that_differ_and_names_with_their_parents(
    tmp_path, finished_run, compare
):
    text = compare(finished_run(tmp_path / "a/run"), finished_run(tmp_path / "b/run")).text

    assert "None: config, code, versions, devices, processor and data are the same." in text
    assert "a/run, b/run." in text


def test_each_of_several_labels_has_its_row_and_the_difference_is_of_the_mean(runs, compare):
    for run in runs:
        run.use_labels(["Edema", "Effusion"], images=40)

    page = compare(*runs)

    assert "Effusion 0.974 0.954–0.994 0.974 0.954–0.994" in page.text
    assert "second +0.000 +0.000 to +0.000" in page.text
    assert page.tags.count("svg") == 5


def test_runs_on_exclusive_classes_are_compared_by_accuracy_too(runs, compare):
    for run, accuracy in zip(runs, (0.71, 0.82), strict=True):
        run.use_labels(["Edema", "Effusion"], images=40)
        run.change("evaluation/test.json", accuracy={"value": accuracy, "low": 0.6, "high": 0.9})
    text = compare(*runs).text
    assert "Accuracy Test images" in text and "0.710 0.600–0.900" in text and "0.820" in text


def test_runs_with_other_labels_and_runs_named_twice_are_refused(runs):
    runs[1].use_labels(["Edema", "Effusion"])
    first, second = (run.folder for run in runs)

    with pytest.raises(UsageError, match="second was trained on the labels Edema, Effusion, "):
        comparison.write([first, second], first / "page.html")
    with pytest.raises(UsageError, match="first is named twice"):
        comparison.write([first, first], first / "page.html")
    assert not (first / "page.html").exists()
