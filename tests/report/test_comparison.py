"""Behaviour of the page that compares runs."""

import re

import pytest

from trainer.report import comparison
from trainer.system.errors import UsageError


@pytest.fixture
def runs(tmp_path, finish):
    """Three finished runs; the second errs more often on the same images."""
    runs = [finish(tmp_path / name) for name in ("first", "second", "third")]
    score(runs[0], lambda k: 0.5 + 0.1 * (k % 2) + 0.001 * k)
    score(runs[1], lambda k: 0.5 + 0.1 * (k % 4 == 1) + 0.001 * k)
    return runs


def score(run, of, name="image"):
    rows = [f"{name}{k},patient{k // 2},{k % 2},{of(k)}" for k in range(80)]
    run.write("evaluation/test.csv", "\n".join(["name,patient,label,score", *rows]))


@pytest.fixture
def page_of(page_at, tmp_path):
    """Compares runs."""
    return lambda *runs: page_at(
        comparison.write([run.folder for run in runs], tmp_path / "page.html")
    )


def test_every_run_has_its_numbers_with_intervals(runs, page_of):
    text = page_of(*runs).text

    row = "0.974 0.954–0.994 0.961 0.941–0.981 0.919 0.899–0.939 0.882 0.862–0.902"
    assert all(f"{name} {row}" in text for name in ("first", "second", "third"))


def test_the_difference_is_that_on_the_same_images(runs, page_of):
    text = page_of(*runs[:2]).text

    assert re.search(r"AUC above first second −0\.2\d+ −0\.\d+ to −0\.1\d+", text)
    assert "other test images" not in text


def test_runs_tested_on_other_images_have_no_difference_and_that_is_said(runs, page_of):
    score(runs[2], lambda k: 0.5, name="elsewhere")

    text = page_of(*runs).text

    assert "third: other test images than first, so no difference is given" in text


def test_only_fields_that_differ_are_listed(runs, page_of):
    runs[1].change("config.json", seed=8)
    runs[1].change("environment.json", git_commit="def5678")

    text = page_of(*runs[:2]).text

    assert "Field first second seed 7 8 git commit abc1234 def5678" in text
    assert "train.epochs" not in text and "devices" not in text


def test_a_field_that_an_older_run_lacks_counts_as_its_default(runs, page_of):
    runs[1].change("config.json", data={"cache": "host"})

    assert "data.cache" not in page_of(*runs[:2]).text


def test_runs_alike_are_said_to_be(runs, page_of):
    assert "Nothing: config, code" in page_of(*runs[:2]).text


def test_curves_of_all_runs_share_a_chart(runs, page_of):
    page = page_of(*runs)

    assert page.tags.count("svg") == 4
    assert page.alone == []
    for title in ("ROC curves, test", "Validation AUC", "Validation loss", "Validation accuracy"):
        assert title in page.text


def test_times_and_speeds_are_told(runs, page_of):
    assert "second 1 h 5 min 3 2 91 2.0 % 2026-11-22" in page_of(*runs).text


def test_of_several_labels_each_has_its_row_and_the_difference_is_that_of_the_mean(runs, page_of):
    for run in runs[:2]:
        run.tell(["Edema", "Effusion"], images=40)

    page = page_of(*runs[:2])

    assert "Effusion 0.974 0.954–0.994 0.974 0.954–0.994" in page.text
    assert "second +0.000 +0.000 to +0.000" in page.text
    assert page.tags.count("svg") == 5


def test_runs_of_other_labels_are_refused(runs):
    runs[1].tell(["Edema", "Effusion"])

    with pytest.raises(
        UsageError, match="second tells Edema, Effusion, but .*first tells PNEUMONIA"
    ):
        comparison.write([run.folder for run in runs[:2]], runs[0].folder / "page.html")


def test_a_run_named_twice_is_refused(runs):
    with pytest.raises(UsageError, match="first is named twice"):
        comparison.write([runs[0].folder] * 2, runs[0].folder / "page.html")


def test_folders_of_one_name_are_told_apart_by_those_above(tmp_path, finish, page_of):
    text = page_of(finish(tmp_path / "a/run"), finish(tmp_path / "b/run")).text

    assert "a/run, b/run." in text


@pytest.mark.parametrize("synthetic", [(True, True), (True, False), (False, False)])
def test_phantoms_are_announced(runs, page_of, synthetic):
    for run, value in zip(runs, synthetic, strict=False):
        run.change("data_summary.json", synthetic=value)

    text = page_of(*runs[:2]).text

    assert ("radiographs (phantoms), not patients" in text) == any(synthetic)
    assert ("Some of the runs" in text) == (len(set(synthetic)) == 2)


def test_the_page_holds_all_it_shows(runs, page_of):
    page = page_of(*runs)

    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(address.startswith("#") for address in page.addresses)
