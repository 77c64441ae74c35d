"""What chance and the strongest shortcut reach on the images that a run was tested on."""

import pytest

from trainer.report import baselines


@pytest.mark.parametrize(
    ("negative", "positive", "name", "accuracy", "sensitivity"),
    [(30, 70, "Always “ill”", 0.7, 1), (60, 40, "Always “well”", 0.6, 0)],
)
def test_the_commonest_class_is_right_as_often_as_it_comes(
    negative, positive, name, accuracy, sensitivity
):
    test = {"classes": ["well", "ill"], "labels": {"ill": {}}}
    test["labels"]["ill"] = {"negative": negative, "positive": positive}

    found = baselines.commonest_class(test)

    assert found.name == name
    values = {metric: estimate["value"] for metric, estimate in found.values.items()}
    assert values == {
        "accuracy": accuracy,
        "sensitivity": sensitivity,
        "specificity": 1 - sensitivity,
        "auc": 0.5,
    }


def test_the_commonest_of_several_classes_is_right_as_often_as_it_comes():
    counts = {"a": 20, "b": 60, "c": 10}
    labels = {name: {"positive": n, "negative": 90 - n} for name, n in counts.items()}
    found = baselines.commonest_class({"exclusive": True, "classes": [], "labels": labels})
    assert found.name == "Always “b”"
    values = {metric: estimate["value"] for metric, estimate in found.values.items()}
    assert values == {"auc": 0.5, "accuracy": pytest.approx(60 / 90)}


def relation(traces, train, transfer=None, label="ill"):
    def auc(value):
        return value and {"value": value, "low": value - 0.1, "high": value + 0.1}

    return {"label": label, "traces": traces, "test": None} | {
        "train": auc(train),
        "transfer": auc(transfer),
    }


def audit(*relations, prepared=False):
    return {"prepared": prepared, "shortcuts": {"relations": relations}}


def test_the_strongest_shortcut_counts_as_it_holds_in_test():
    found = baselines.shortcut(
        audit(relation("width", 0.95, 0.5), relation("fine structure", 0.8, 0.7)), ["ill"]
    )

    assert found.values["auc"]["value"] == 0.7
    assert found.about == (
        "fine structure; trained on train, measured on test; it may also be the disease"
    )


def test_what_a_network_cannot_see_is_no_shortcut():
    from_file, from_pixels = relation("file size", 0.9), relation("width", 0.6)

    assert baselines.shortcut(audit(from_file, from_pixels), ["ill"]).about.startswith("file size")
    prepared = audit(from_file, from_pixels, prepared=True)
    assert baselines.shortcut(prepared, ["ill"]).about == "width"


def test_shortcuts_to_labels_that_the_run_does_not_predict_do_not_count():
    assert baselines.shortcut(audit(relation("width", 0.9, label="other")), ["ill"]) is None


def test_of_several_labels_it_is_said_which():
    found = baselines.shortcut(audit(relation("width", 0.9)), ["ill", "other"])

    assert found.about == "width, for ill"
