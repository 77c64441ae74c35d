"""Stress tells by how much figures fall, over the same resamples, and what hurts most."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from trainer.judge.alterations import Alteration
from trainer.judge.stress import Decided, stress
from trainer.show.charts.stress import stress_chart
from trainer.training.evaluation_loop import unchanged

IMAGES = 200


def alteration(name: str, *, harm: float, encoding: bool = False) -> Alteration:
    """One that adds its strength times `harm` to a view, which the scores below read off."""
    return Alteration(name, (1, 2), lambda images, rows, s: images + s * harm, encoding)


@pytest.fixture
def judged():
    """A scorer whose outputs get worse with the grey level of a view, labels and patients."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (IMAGES, 1)).astype(np.float32)
    noise = random.normal(size=(IMAGES, 1))

    def score(view):
        black = tf.zeros([1, 4, 4, 1])
        grey = float(np.mean(view(black, tf.range(1))))
        logits = 3 * (labels - 0.5) * (1 - grey) + noise
        return Decided(logits, logits >= 0)

    patients = [f"p{number // 2}" for number in range(IMAGES)]
    return score, labels, patients


def test_figures_are_those_of_scikit_learn_and_changes_are_paired(judged):
    score, labels, _ = judged
    found = stress(*judged, alterations=[alteration("greyer by {}", harm=0.3)])
    clean, mild = score(unchanged), score(lambda images, rows: images + 0.3)
    auc = roc_auc_score(labels, clean.logits)
    assert found["unchanged"]["auc"]["value"] == pytest.approx(auc)
    assert found["unchanged"]["sensitivity"]["value"] == pytest.approx(
        clean.decisions[labels == 1].mean()
    )
    assert found["unchanged"]["specificity"]["value"] == pytest.approx(
        1 - clean.decisions[labels == 0].mean()
    )
    first, second = found["altered"]
    assert (first["name"], second["name"]) == ("greyer by 1", "greyer by 2")
    change = first["change"]["auc"]
    assert change["value"] == pytest.approx(roc_auc_score(labels, mild.logits) - auc)
    assert change["low"] < change["value"] < change["high"] < 0
    # On the same resamples a change is known better than either figure.
    width = first["auc"]["high"] - first["auc"]["low"]
    assert change["high"] - change["low"] < width
    rates = ("sensitivity", "specificity")
    name = min(rates, key=lambda rate: second["change"][rate]["value"])
    assert f"the {name} of images greyer by 2 falls most" in found["sentence"]
    assert "greyer by 2" in found["sentence"] and "Encoding the images" in found["sentence"]
    assert stress_chart(found, "other").pixels().std() > 5


def test_what_falls_with_the_encoding_alone_is_called_a_shortcut(judged):
    kinds = [
        alteration("darker by {}", harm=0.45),
        alteration("re-encoded at {}", harm=0.3, encoding=True),
    ]
    sentence = stress(*judged, alterations=kinds)["sentence"]
    assert "The AUC falls most on images darker by 2: by 0." in sentence
    assert "only re-encoded at 2" in sentence and sentence.endswith("was a shortcut.")


def test_several_labels_are_shown_each(judged):
    score, labels, patients = judged

    def score_two(view):
        logits = score(view).logits * [1, 0] + [0, 1] * labels
        return Decided(logits, logits >= 0.5)

    found = stress(
        score_two,
        np.repeat(labels, 2, 1),
        patients,
        labels=["A", "B"],
        alterations=[alteration("greyer by {}", harm=0.3)],
    )
    row = found["altered"][-1]
    (a, b), mean = (row["labels"][name]["auc"] for name in "AB"), row["change"]["auc"]["value"]
    assert a["value"] < 0 and b == {"value": 0, "low": 0, "high": 0}
    assert mean == pytest.approx((a["value"] + b["value"]) / 2)
    one = stress(*judged, labels=["A"], alterations=[alteration("{}", harm=0.0)])
    assert "labels" not in one["altered"][0]


def test_where_nothing_hurts_it_is_said(judged):
    found = stress(*judged, alterations=[alteration("as it was {}", harm=0.0)])
    assert found["sentence"] == "No alteration lowers the AUC by more than chance."
    assert found["altered"][0]["change"]["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_images_of_one_class_have_no_auc_and_unknown_labels_do_not_count(judged):
    score, labels, patients = judged
    values = np.where(labels > 0, 1, -1)
    found = stress(score, values, patients, alterations=[alteration("greyer by {}", harm=0.3)])
    assert found["unchanged"]["auc"]["value"] is None
    assert found["unchanged"]["specificity"]["value"] is None
    assert found["unchanged"]["sensitivity"]["value"] == pytest.approx(
        score(unchanged).decisions[labels == 1].mean()
    )
    assert "nothing can be said" in found["sentence"]
    stress_chart(found, "other").svg()
