"""Every figure is that of scikit-learn, for all examples and for those that count several times."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from trainer.metrics import figures
from trainer.metrics.bootstrap import Resamples
from trainer.metrics.figures import LabelExamples

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(400) < 0.4
SCORES = RANDOM.normal(size=400) + 1.5 * LABELS - 0.5
CUT = {"cut": 0.3}


def examples(labels, scores, calibrated=None):
    calibrated = scores if calibrated is None else calibrated
    return LabelExamples(labels, scores, calibrated, np.arange(len(labels)))


def measured(labels, scores, *, prevalence=0.05):
    """The figures of all examples: without a threshold, and those of a decision."""
    resamples = Resamples([f"p{i}" for i in range(len(labels))], 0, 2)
    found = figures.measure(
        examples(labels, scores), resamples, thresholds=CUT, prevalence=prevalence
    )
    first = (
        {name: values[0] for name, values in part.items()}
        for part in (found.whole, found.points["cut"])
    )
    return *first, found


@pytest.mark.parametrize("scores", [SCORES, np.round(SCORES)], ids=["distinct", "ties"])
def test_figures_without_a_threshold_are_those_of_scikit_learn(scores):
    whole, _, _ = measured(LABELS, scores)
    probability = expit(scores)
    false_alarms, found, _ = metrics.roc_curve(LABELS, scores, drop_intermediate=False)

    assert whole["auc"] == pytest.approx(metrics.roc_auc_score(LABELS, scores))
    assert whole["average_precision"] == pytest.approx(
        metrics.average_precision_score(LABELS, scores)
    )
    assert whole["brier"] == pytest.approx(metrics.brier_score_loss(LABELS, probability))
    assert whole["log_loss"] == pytest.approx(metrics.log_loss(LABELS, probability))
    for level in (80, 90, 95):
        most = found[false_alarms <= 1 - level / 100 + 1e-12].max()
        fewest = 1 - false_alarms[found >= level / 100 - 1e-12].min()
        assert whole[f"sensitivity_at_specificity_{level}"] == pytest.approx(most)
        assert whole[f"specificity_at_sensitivity_{level}"] == pytest.approx(fewest)


@pytest.mark.parametrize(
    "scores",
    [SCORES, np.round(SCORES), 8 - 9 * SCORES],
    ids=["distinct", "ties", "confident and wrong"],
)
def test_calibration_line_is_an_unpenalised_logistic_regression(scores):
    whole, _, _ = measured(LABELS, scores)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(scores[:, None], LABELS)

    assert whole["calibration_slope"] == pytest.approx(fit.coef_[0, 0], rel=1e-4)
    assert whole["calibration_intercept"] == pytest.approx(fit.intercept_[0], abs=1e-4)


def test_calibration_error_is_the_weighted_gap_of_ten_bins():
    probability = np.array([0.05, 0.05, 0.35, 0.35, 0.35, 0.95])
    labels = np.array([0, 1, 0, 0, 1, 1], bool)

    whole, _, _ = measured(labels, logit(probability))

    gaps = [2 * abs(0.05 - 0.5), 3 * abs(0.35 - 1 / 3), 1 * abs(0.95 - 1)]
    assert whole["calibration_error"] == pytest.approx(sum(gaps) / 6)


def test_figures_of_a_decision_are_those_of_scikit_learn():
    _, decision, _ = measured(LABELS, SCORES)
    predicted = SCORES >= 0.3

    expected = {
        "accuracy": metrics.accuracy_score(LABELS, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(LABELS, predicted),
        "sensitivity": metrics.recall_score(LABELS, predicted),
        "specificity": metrics.recall_score(~LABELS, ~predicted),
        "ppv": metrics.precision_score(LABELS, predicted),
        "npv": metrics.precision_score(~LABELS, ~predicted),
        "f1": metrics.f1_score(LABELS, predicted),
        "mcc": metrics.matthews_corrcoef(LABELS, predicted),
    }
    assert {name: decision[name] for name in expected} == pytest.approx(expected)


def test_predictive_values_at_the_prevalence_of_the_set_are_its_own():
    _, decision, _ = measured(LABELS, SCORES, prevalence=LABELS.mean())
    assert decision["ppv_at_prevalence"] == pytest.approx(decision["ppv"])
    assert decision["npv_at_prevalence"] == pytest.approx(decision["npv"])


def test_predictive_values_at_a_prevalence_are_those_of_bayes():
    # 90 % sensitivity and 90 % specificity at a prevalence of 1 %: 1 in 12 alarms is right.
    rates = figures.rates(
        np.array([90.0]), np.array([10.0]), positives=100.0, negatives=100.0, prevalence=0.01
    )
    assert rates["ppv_at_prevalence"] == pytest.approx(1 / 12)
    assert rates["npv_at_prevalence"] == pytest.approx(0.99 * 0.9 / (0.99 * 0.9 + 0.01 * 0.1))


def test_net_benefit_weighs_false_alarms_by_the_odds_of_the_risk():
    _, _, found = measured(LABELS, SCORES)
    for k, risk in enumerate(figures.RISKS):
        acted = expit(SCORES) >= risk
        hits, alarms = np.sum(acted & LABELS), np.sum(acted & ~LABELS)
        expected = (hits - alarms * risk / (1 - risk)) / len(LABELS)
        assert found.net_benefit[0, k] == pytest.approx(expected)


def test_each_resample_has_the_figures_of_its_patients():
    patients = [f"p{i // 3}" for i in range(len(LABELS))]
    resamples = Resamples(patients, 0, 3)
    found = figures.measure(examples(LABELS, SCORES), resamples, thresholds=CUT)
    counts = resamples.measure(lambda counts: counts.astype(float))

    for draw in (1, 2, 3):
        drawn = np.repeat(np.arange(len(LABELS)), counts[draw].astype(int))
        whole, decision, again = measured(LABELS[drawn], SCORES[drawn])
        of_draw = {name: values[draw] for name, values in found.whole.items()}
        assert of_draw == pytest.approx(whole, rel=1e-6, abs=1e-6)
        assert {n: v[draw] for n, v in found.points["cut"].items()} == pytest.approx(decision)
        np.testing.assert_allclose(found.net_benefit[draw], again.net_benefit[0])


@pytest.mark.parametrize("only", [True, False])
def test_one_class_alone_leaves_undefined_what_needs_both(only):
    labels = np.full(5, only)
    whole, decision, _ = measured(labels, SCORES[:5])

    needs_both = ("auc", "average_precision", "calibration_slope", "sensitivity_at_specificity_90")
    assert np.isnan([whole[name] for name in needs_both]).all()
    assert np.isfinite([whole["brier"], whole["log_loss"], decision["accuracy"]]).all()
    assert np.isnan([decision[name] for name in ("balanced_accuracy", "mcc")]).all()
    assert np.isnan(decision["specificity" if only else "sensitivity"])


def test_no_examples_leave_everything_undefined():
    whole, decision, _ = measured(np.zeros(0, bool), np.zeros(0))
    assert np.isnan([*whole.values(), *decision.values()]).all()


def test_separated_classes_have_no_calibration_line():
    whole, _, _ = measured(np.array([0, 0, 1, 1], bool), np.array([-2.0, -1.0, 1.0, 2.0]))
    assert np.isnan(whole["calibration_slope"])


def test_many_examples_have_the_line_of_all_and_intervals_of_groups():
    random = np.random.default_rng(1)
    labels = random.random(5000) < 0.3
    scores = random.normal(size=5000) + labels
    resamples = Resamples([f"p{i}" for i in range(5000)], 0, 40)
    found = figures.measure(examples(labels, scores), resamples, thresholds=CUT)
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, None], labels)

    slopes = found.whole["calibration_slope"]
    assert slopes[0] == pytest.approx(fit.coef_[0, 0], rel=1e-5)
    assert slopes[1:].mean() == pytest.approx(slopes[0], rel=0.02)


def test_description_has_every_figure_with_its_interval():
    resamples = Resamples([f"p{i // 2}" for i in range(len(LABELS))], 0, 50)
    given = examples(LABELS, SCORES)
    found = figures.measure(given, resamples, thresholds=CUT)

    described = figures.describe(found, given, resamples, thresholds=CUT)

    (point,) = described["operating_points"]
    assert described["positive"] == LABELS.sum() and np.sum(point["confusion"]) == len(LABELS)
    for estimate in [described[name] for name in found.whole] + [
        point[n] for n in found.points["cut"]
    ]:
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    middle = described["decision_curve"][49]
    assert middle["risk"] == 0.5 and middle["all"] == pytest.approx(2 * LABELS.mean() - 1)
