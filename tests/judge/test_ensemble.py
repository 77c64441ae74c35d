"""Several runs are one network; one run is itself."""

import json
import shutil

import numpy as np
import pytest
from etils import epath

from trainer.judge.ensemble import Ensemble, Fit
from trainer.metrics import calibration, evaluation_files
from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.system.errors import UsageError


@pytest.fixture(scope="module")
def other(finished, tmp_path_factory):
    """The same run under another name, with another temperature."""
    copied = epath.Path(tmp_path_factory.mktemp("other") / "run")
    shutil.copytree(finished, copied, ignore=shutil.ignore_patterns("tensorboard", "pictures"))
    change(copied, "evaluation/test.json", temperature=2.0)
    return copied


def change(run, file, *, temperature=None, **fields):
    content = json.loads((run / file).read_text())
    for label in content["labels"].values() if temperature else ():
        label["calibration"]["temperature"] = temperature
    (run / file).write_text(json.dumps(content | fields))


def images(ensemble, count=3):
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (count, side, side, 1), np.uint8) for side, _ in ensemble.fits]


def test_one_run_decides_as_its_own_evaluation(finished):
    ensemble = Ensemble.load([finished])
    predictions = evaluation_files.read_predictions(finished, "test")
    (label,) = json.loads((finished / "evaluation/test.json").read_text())["labels"].values()

    assert ensemble.fits == (Fit(64, "pad"),)
    assert ensemble.points.temperatures == [label["calibration"]["temperature"]]
    for point, name in zip(label["operating_points"], (HALF, CHOSEN), strict=True):
        predicted = ensemble.decisions(predictions.scores.logits, name)[:, 0]
        positive = predictions.scores.labels[:, 0] > 0
        assert np.sum(predicted & positive) == point["confusion"][1][1]
        assert np.sum(predicted & ~positive) == point["confusion"][0][1]


def test_several_runs_give_the_mean_of_their_calibrated_logits(finished, other):
    one, two, both = (Ensemble.load(runs) for runs in ([finished], [other], [finished, other]))
    given = images(both)

    expected = (one.calibrated(one.logits(given)) + two.calibrated(two.logits(given))) / 2

    np.testing.assert_allclose(both.logits(given), expected, atol=1e-6)
    assert two.points.temperatures == [2.0]


def test_several_runs_have_the_mean_of_their_thresholds_and_a_common_temperature(finished, other):
    one, two, both = (Ensemble.load(runs) for runs in ([finished], [other], [finished, other]))
    scores = both.validation_scores()

    own = [each.points.thresholds[CHOSEN][0] / each.points.temperatures[0] for each in (one, two)]

    assert both.points.thresholds[CHOSEN] == pytest.approx([np.mean(own)])
    assert both.points.temperatures == calibration.temperatures(scores)
    assert f"{len(scores.labels)} validation images" in both.reason


def test_runs_with_other_validation_images_are_calibrated_each_on_its_own(
    finished, other, tmp_path
):
    copied = epath.Path(shutil.copytree(other, tmp_path / "fold"))
    file = copied / "evaluation/validation.csv"
    head, first, *rows = file.read_text().splitlines()
    file.write_text("\n".join([head, "another" + first, *rows]) + "\n")

    ensemble = Ensemble.load([finished, copied])

    assert ensemble.points.temperatures == [1.0]
    assert "differ" in ensemble.reason


@pytest.mark.parametrize(
    ("file", "fields", "what"),
    [
        ("data_summary.json", {"classes": ["healthy", "ill"]}, "classes"),
        ("data_summary.json", {"max_side": 200}, "max_side=200"),
    ],
)
def test_runs_that_differ_are_refused(finished, other, tmp_path, file, fields, what):
    copied = epath.Path(shutil.copytree(other, tmp_path / "other"))
    change(copied, file, **fields)

    with pytest.raises(UsageError, match=what):
        Ensemble.load([finished, copied])


def test_a_run_named_twice_is_refused(finished):
    with pytest.raises(UsageError, match="named twice"):
        Ensemble.load([finished, finished])
