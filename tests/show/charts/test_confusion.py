"""The confusion matrix has counts and shares of the actual class at each operating point."""

import numpy as np
import pytest

from trainer.show.charts.confusion import class_confusion_chart, confusion_chart


def test_each_point_has_its_counts_and_the_shares_of_the_actual_class(label_result, texts):
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    probability = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.6, 0.7, 0.8, 0.9])
    result = label_result(labels=labels, probability=probability, patients=list("abcdefghi"))
    first, second = confusion_chart(result).figure.axes[1:]
    words = [[text.get_text() for text in axes.texts] for axes in (first, second)]
    assert words[0] == ["3", "75.0 %", "1", "25.0 %", "1", "20.0 %", "4", "80.0 %"]
    assert words[1] == ["4", "100.0 %", "0", "0.0 %", "3", "60.0 %", "2", "40.0 %"]
    shown = texts(confusion_chart(result))
    assert {"probability 0.5", "chosen on validation (0.73)", "actual", "predicted"} <= set(shown)
    assert shown.count("NORMAL") == 3 and shown.count("PNEUMONIA") == 3


def test_a_class_without_images_is_marked(label_result, texts):
    result = label_result(labels=np.zeros(200, int))
    assert texts(confusion_chart(result)).count("no image") == 4


@pytest.mark.parametrize("classes", [3, 9])
def test_each_class_has_its_row_of_counts_and_shares(texts, classes: int):
    counts = np.eye(classes, dtype=int) * 3
    counts[1, 0], counts[2] = 1, 0
    names = [f"class {k}" for k in range(classes)]
    drawn = class_confusion_chart(counts, names, "test")
    words = [text.get_text() for text in drawn.figure.axes[0].texts]
    cells = words[words.index("3") :]
    assert cells[: 2 * classes + 2 : 2] == ["3", *["0"] * (classes - 1), "1"]
    assert cells[2 * classes + 1] == "25.0 %"
    shown = texts(drawn)
    assert shown.count("no image") == classes and all(shown.count(name) == 2 for name in names)
