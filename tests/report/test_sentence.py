"""The result is said in one sentence, with the numbers that it stands for."""

import pytest

from trainer.report.sentence import result_sentence, share_in_words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 9, "none"),
        (9, 9, "all"),
        (1, 154, "hardly any"),
        (999, 1000, "nearly all"),
        (57, 115, "about half"),
        (1, 2, "half"),
        (1, 3, "a third"),
        (180, 204, "about nine tenths"),
        (6, 100, "about one in twenty"),
    ],
)
def test_a_share_has_a_name(part: int, whole: int, words: str):
    assert share_in_words(part, whole) == words


def one_label(confusion, classes=("NORMAL", "PNEUMONIA")):
    point = {"name": "chosen on validation", "threshold": 0.304, "confusion": confusion}
    return {"classes": list(classes), "labels": {"Edema": {"operating_points": [point]}}}


def test_what_is_found_and_what_is_flagged_by_mistake_is_said_at_the_threshold():
    assert result_sentence(one_label([[58, 57], [4, 191]])) == (
        "At the threshold 0.30 (chosen on validation), nearly all of the PNEUMONIA images are "
        "found (191 of 195) and about half of the NORMAL images are flagged by mistake (57 of 115)."
    )
    assert result_sentence(one_label([[1, 1], [0, 0]], ())) == (
        "At the threshold 0.30 (chosen on validation), half of the images without Edema are "
        "flagged by mistake (1 of 2)."
    )
    assert result_sentence(one_label([[0, 0], [0, 0]])) == "No image has a known label."


def test_the_best_and_the_worst_of_several_are_named():
    def value(number):
        return {"value": number}

    areas = {"A": 0.9, "B": 0.6, "C": None}
    labels = {name: {"auc": value(area)} for name, area in areas.items()}
    assert result_sentence({"labels": labels, "auc": value(0.75)}) == (
        "Over 3 labels the mean AUC is 0.750: A is told apart best (0.900), B worst (0.600)."
    )
    for label, area in zip(labels.values(), areas.values(), strict=True):
        label["decision"] = {"sensitivity": value(area)}
    classes = {"labels": labels, "exclusive": True, "accuracy": value(0.8)}
    assert result_sentence(classes) == (
        "The likeliest class is right for 80.0 % of the images; A is found most often (90.0 %), "
        "B least (60.0 %)."
    )
