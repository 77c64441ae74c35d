"""The ROC curve has its band, its operating points and the area under it."""

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from trainer.show.charts.roc import band, label_roc_chart, roc_chart


def test_it_marks_the_operating_points_where_they_lie_on_the_curve(label_result, texts):
    result = label_result()
    chart = roc_chart(result)
    predicted = result.probability >= 0.73
    sensitivity = predicted[result.labels == 1].mean()
    specificity = (~predicted)[result.labels == 0].mean()
    named = f"sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
    assert f"chosen on validation (0.73): {named}" in texts(chart)
    marks = [tuple(np.ravel(line.get_data())) for line in chart.figure.axes[0].lines]
    assert (1 - specificity, sensitivity) in marks


def test_the_area_has_its_interval_where_one_is_known(label_result, texts):
    value = roc_auc_score(label_result().labels, label_result().probability)
    (without,) = (text for text in texts(roc_chart(label_result())) if text.startswith("AUC"))
    assert without == f"AUC {value:.3f}; band: 95 % over patients"
    known = label_result(auc={"value": value, "low": 0.8, "high": 0.95})
    (with_it,) = (text for text in texts(roc_chart(known)) if text.startswith("AUC"))
    assert f"AUC {value:.3f} (0.800 to 0.950)" in with_it


def test_the_band_holds_the_curve(label_result):
    result = label_result()
    rates, low, high = band(result)
    curve = roc_curve(result.labels, result.probability, drop_intermediate=False)[:2]
    sensitivity = np.interp(rates, *curve)
    assert np.mean((low <= sensitivity + 1e-9) & (sensitivity <= high + 1e-9)) > 0.95


def test_the_band_is_wider_where_images_are_of_fewer_patients(label_result):
    result = label_result()
    repeated = {
        "labels": np.repeat(result.labels[:50], 4),
        "probability": np.repeat(result.probability[:50], 4),
    }
    widths = [
        np.mean(high - low)
        for each in (1, 4)
        for _, low, high in [band(label_result(**repeated, patients=np.arange(200) // each))]
    ]
    assert widths[1] > 1.4 * widths[0]


def test_the_band_of_a_perfect_label_has_no_width(label_result):
    result = label_result(probability=np.where(label_result().labels, 0.9, 0.1))
    _, low, high = band(result)
    assert (low == 1).all() and (high == 1).all()


def test_of_several_labels_each_has_its_curve_and_one_of_one_class_is_left_out(label_result, texts):
    labels = [label_result(name="Edema"), label_result(name="Hernia", labels=np.zeros(200, int))]
    shown = " ".join(texts(label_roc_chart(labels)))
    assert "Edema 0." in shown and "Hernia" not in shown


def test_curve_and_points_are_the_same_where_probabilities_round_to_1(label_result):
    result = label_result()
    shifted = label_result(logits=result.logits + 50)
    assert len(set(shifted.probability)) < len(set(result.probability))
    np.testing.assert_allclose(band(shifted), band(result))
    point = {"name": "half", "threshold": 1.0, "logit": 50.0}
    expected = result.confusion_matrix({"name": "half", "threshold": 0.5})
    np.testing.assert_array_equal(shifted.confusion_matrix(point), expected)
