"""The calibration chart shows the reliability as trained and at the temperature."""

from xml.etree import ElementTree

import numpy as np

from trainer.metrics import calibration
from trainer.show.charts.reliability import calibration_chart


def texts(chart):
    return [text for text in ElementTree.fromstring(chart.svg()).itertext() if text.strip()]


def test_it_tells_the_error_before_and_after(judged):
    of = judged()
    after = calibration.calibrate(of.probability, of.temperature)
    errors = [calibration.expected_calibration_error(p, of.labels) for p in (of.probability, after)]
    shown = texts(calibration_chart(of))
    assert f"as trained: calibration error (ECE) {errors[0]:.3f}" in shown
    assert f"at temperature 1.60: calibration error (ECE) {errors[1]:.3f}" in shown


def test_at_temperature_one_there_is_one_curve(judged):
    assert not any(
        "temperature" in text for text in texts(calibration_chart(judged(temperature=1)))
    )


def test_the_lower_axes_hold_every_image(judged):
    _, below = calibration_chart(judged()).figure.axes
    for patch in below.patches:
        assert np.isclose(patch.get_data().values.sum(), 1)
    assert len(below.patches) == 2
