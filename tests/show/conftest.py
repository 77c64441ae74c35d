"""What the tests of charts share: the result of a label, and the texts of a chart."""

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.special import logit

from trainer.metrics.label_result import LabelResult
from trainer.show.charts.chart import Chart


@pytest.fixture
def label_result() -> Callable[..., LabelResult]:
    """Makes the result of a label with 200 images of 100 patients, a third of them positive."""
    random = np.random.default_rng(0)
    labels = (random.random(200) < 0.35).astype(int)
    logits = 2 * random.normal(size=200) + 3 * labels - 1.5
    points = [
        {"name": "probability 0.5", "threshold": 0.5},
        {"name": "chosen on validation", "threshold": 0.73},
    ]
    given = LabelResult(
        name="PNEUMONIA",
        classes=["NORMAL", "PNEUMONIA"],
        labels=labels,
        logits=logits,
        patients=[f"p{k // 2}" for k in range(200)],
        operating_points=points,
        temperature=1.6,
        split="test",
    )

    def changed(probability: np.ndarray | None = None, **changes: object) -> LabelResult:
        if probability is not None:
            changes["logits"] = np.clip(logit(probability), -40, 40)
        return given._replace(**changes)

    return changed


@pytest.fixture
def texts() -> Callable[[Chart], list[str]]:
    """Returns the texts of a chart."""
    return lambda chart: [
        text for text in ElementTree.fromstring(chart.svg()).itertext() if text.strip()
    ]
