"""The table of an evaluation fits the terminal and gives every estimate with its interval."""

import pytest

from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.show.evaluation_table import table


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def evaluation(names: list[str], positive: int) -> dict:
    measured = {"ece": 0.1234, "brier": 0.1, "loss": 0.3}
    label = {
        "positive": positive,
        "negative": 25_000 - positive,
        "auc": interval(0.9),
        "average_precision": interval(0.4),
        "calibration": {
            "temperature": 1.83,
            "before": measured,
            "after": {**measured, "ece": 0.0456},
        },
        "operating_points": [
            {
                "name": name,
                "threshold": threshold,
                "accuracy": interval(0.81),
                "sensitivity": interval(0.82),
                "specificity": interval(0.83),
            }
            for name, threshold in ((HALF, 0.5), (CHOSEN, 0.0312))
        ],
    }
    head = {"split": "test", "images": 25_000, "patients": 2_800, "epoch": 12, "step": 3480}
    areas = {"auc": interval(0.9), "average_precision": interval(0.4)}
    return {**head, **areas, "labels": dict.fromkeys(names, label)}


@pytest.mark.parametrize(
    ("names", "columns"),
    [(["PNEUMONIA"], 80), (["Edema", "Enlarged Cardiomediastinum of old"], 110)],
)
def test_it_has_areas_and_calibration_aligned_and_fits(names: list[str], columns: int):
    text = table(evaluation(names, 1_234))
    for part in ("AUC", "average precision", "0.400 (0.390 to 0.410)", "0.123 -> 0.046"):
        assert part in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert len({line.index("0.390 to") for line in lines if "0.390 to" in line}) == 1
    assert all("(1234 of 25000)" in line for line in lines if line.startswith("E"))


def test_classes_have_the_rates_of_the_likeliest_and_their_confusion_matrix():
    given = evaluation(["NORMAL", "BACTERIA", "VIRUS"], 1_234)
    for label in given["labels"].values():
        label["decision"] = {"sensitivity": interval(0.7), "specificity": interval(0.6)}
    given |= {"exclusive": True, "accuracy": interval(0.75), "balanced_accuracy": interval(0.71)}
    lines = table(given | {"confusion": [[11, 2, 0], [1, 12, 4], [3, 5, 1300]]}).splitlines()
    assert max(map(len, lines)) <= 110 and not any(CHOSEN in line for line in lines)
    assert any("0.750" in line and "0.710" in line for line in lines)
    assert sum("0.700" in line and "0.600" in line for line in lines) == 3
    assert lines[-1].split() == ["VIRUS", "3", "5", "1,300"]


def test_each_of_many_labels_has_a_line_for_areas_and_one_for_rates():
    names = [f"finding {k}" for k in range(14)]
    given = evaluation(names, 77)
    undefined = {"value": None, "low": None, "high": None}
    given["labels"]["finding 3"] = given["labels"]["finding 3"] | {"auc": undefined}
    text = table(given)
    for name in names:
        assert text.count(f"{name} (77 of 25000)") == 2
    assert "0.820 (0.810 to 0.830)" in text and "0.031" in text
    assert text.count("not defined") == 1
