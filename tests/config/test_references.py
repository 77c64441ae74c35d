"""What a result is compared with."""

import pytest

from trainer.config import references
from trainer.report import baselines


def test_figures_are_read_by_name():
    first, second = references.parse("the article accuracy=0.90; Kermany 2018 accuracy=.9 auc=1 ;")

    assert first.name == "the article"
    assert {metric: of["value"] for metric, of in first.values.items()} == {"accuracy": 0.9}
    assert second.name == "Kermany 2018"
    assert second.values["auc"]["value"] == 1.0 and second.values["auc"]["low"] is None


@pytest.mark.parametrize("text", ["", "  ", ";"])
def test_nothing_is_no_figure(text):
    assert references.parse(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy=0.9", "must be a name and then its figures"),
        ("a accuracy=0.9 b", "must be a name and then its figures"),
        ("the article", "has no figure: give at least one of accuracy"),
        ("a f1=0.9", r"has no such metric \(f1\)"),
        ("a auc=0.9 auc=0.8", r"gives it twice \(auc\)"),
        ("a auc=93", "'auc=93' must be a number from 0 to 1"),
        ("a auc=nan", "'auc=nan' must be a number from 0 to 1"),
        ("a auc=", "'auc=' must be a number from 0 to 1"),
        ("fine auc=0.9; a auc=high", "'auc=high' must be a number"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(text, said):
    with pytest.raises(ValueError, match=said) as raised:
        references.parse(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("negative", "positive", "name", "accuracy", "sensitivity"),
    [(30, 70, "Always “ill”", 0.7, 1), (60, 40, "Always “well”", 0.6, 0)],
)
def test_the_commoner_class_is_right_as_often_as_it_comes(
    negative, positive, name, accuracy, sensitivity
):
    test = {"classes": ["well", "ill"], "labels": {"ill": {}}}
    test["labels"]["ill"] = {"negative": negative, "positive": positive}

    found = baselines.commoner_class(test)

    assert found.name == name
    values = {metric: of["value"] for metric, of in found.values.items()}
    assert values == {
        "accuracy": accuracy,
        "sensitivity": sensitivity,
        "specificity": 1 - sensitivity,
        "auc": 0.5,
    }


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
        "fine structure; learnt in train, judged in test; it may also be the disease"
    )


def test_what_a_network_cannot_see_is_no_shortcut():
    of_file, of_pixels = relation("file size", 0.9), relation("width", 0.6)

    assert baselines.shortcut(audit(of_file, of_pixels), ["ill"]).about.startswith("file size")
    prepared = audit(of_file, of_pixels, prepared=True)
    assert baselines.shortcut(prepared, ["ill"]).about == "width"


def test_shortcuts_to_labels_that_the_run_does_not_tell_do_not_count():
    assert baselines.shortcut(audit(relation("width", 0.9, label="other")), ["ill"]) is None


def test_of_several_labels_it_is_said_which():
    found = baselines.shortcut(audit(relation("width", 0.9)), ["ill", "other"])

    assert found.about == "width, of ill"
