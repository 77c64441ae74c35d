"""Groups have the images that their names say, and the figures of these."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trainer.metrics import measured, subgroups
from trainer.metrics.operating_points import CHOSEN, HALF, OperatingPoints
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores

POINTS = OperatingPoints({HALF: [0.0], CHOSEN: [0.2]}, [1.5])


def sizes(name, values, edges=()):
    found = subgroups.groups(name, np.array(values, str), edges)
    assert np.sum(list(found.values()), axis=0).tolist() == [1] * len(values)
    return {group: int(chosen.sum()) for group, chosen in found.items()}


@pytest.mark.parametrize(
    ("name", "values", "edges", "expected"),
    [
        ("sex", ["F", "M", "", "F"], (), {"F": 2, "M": 1, "not known": 1}),
        ("readers", ["1", "2", "2"], (), {"1": 1, "2": 2}),
        (
            "age",
            ["3", "17.9", "18", "59", "80", ""],
            (),
            {
                "under 18": 2,
                "18 to under 40": 1,
                "40 to under 60": 1,
                "80 and above": 1,
                "not known": 1,
            },
        ),
        ("PatientAge", ["061Y", "006M", "012D"], (), {"under 18": 2, "60 to under 80": 1}),
        ("dose", ["1", "2", "3"], (2.0,), {"under 2": 1, "2 and above": 2}),
        (
            "dose",
            range(100),
            (),
            dict.fromkeys(
                ["under 24.75", "24.75 to under 49.5", "49.5 to under 74.25", "74.25 and above"], 25
            ),
        ),
    ],
)
def test_values_are_groups(name, values, edges, expected):
    assert sizes(name, values, edges) == expected


def test_of_many_texts_the_rarest_are_one_group():
    found = sizes("site", [f"s{i}" for i in range(40)] + ["s0"])
    assert len(found) == 31 and found["s0"] == 2 and found["others"] == 10


def test_each_group_has_the_figures_of_its_images_and_gaps_between_them():
    random = np.random.default_rng(0)
    labels = random.random(400) < 0.5
    group = np.repeat(["a", "b"], 200)
    logits = random.normal(size=400) + labels * np.where(group == "a", 2.0, 0.5)
    scores = Scores(logits[:, None], labels[:, None].astype(np.float32), np.ones(400))
    names = [f"{i}" for i in range(400)]
    result = measured.measure(Predictions("x", ["SICK"], [], names, names, scores), POINTS)
    small = np.zeros(400, bool)
    small[:8] = True

    found = subgroups.measure(result, {"a": group == "a", "b": group == "b", "few": small})["SICK"]

    a, b, few = found["groups"]
    for row, chosen in ((a, group == "a"), (b, group == "b")):
        assert row["auc"]["value"] == pytest.approx(roc_auc_score(labels[chosen], logits[chosen]))
        assert row["images"] == row["patients"] == row["positive"] + row["negative"] == 200
        assert row["sensitivity"]["value"] == np.mean(logits[chosen & labels] >= 0.2)
    assert few["too_small"] and "auc" not in few
    gap = found["gaps"]["auc"]
    assert (gap["lowest"], gap["highest"]) == ("b", "a")
    assert gap["value"] == pytest.approx(a["auc"]["value"] - b["auc"]["value"])
    assert 0 < gap["low"] < gap["value"] < gap["high"]
