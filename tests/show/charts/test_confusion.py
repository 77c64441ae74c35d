"""The confusion matrix has counts and shares of the actual class at each operating point."""

import numpy as np

from trainer.show.charts.confusion import confusion_chart


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
