"""The calibration chart shows the reliability as trained and at the temperature."""

import numpy as np
from scipy.special import expit

from trainer.metrics import calibration
from trainer.show.charts.reliability import calibration_chart


def test_the_error_is_shown_before_and_after(label_result, texts):
    result = label_result()
    after = expit(result.logits / result.temperature)
    errors = [
        calibration.expected_calibration_error(p, result.labels)
        for p in (result.probability, after)
    ]
    shown = texts(calibration_chart(result))
    assert f"uncalibrated: calibration error (ECE) {errors[0]:.3f}" in shown
    assert f"at temperature 1.60: calibration error (ECE) {errors[1]:.3f}" in shown


def test_at_temperature_one_there_is_one_curve(label_result, texts):
    assert not any(
        "temperature" in text for text in texts(calibration_chart(label_result(temperature=1)))
    )


def test_the_lower_axes_hold_every_image(label_result):
    _, below = calibration_chart(label_result()).figure.axes
    for patch in below.patches:
        assert np.isclose(patch.get_data().values.sum(), 1)
    assert len(below.patches) == 2
