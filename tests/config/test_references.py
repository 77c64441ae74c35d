"""The grammar of published figures in `report.references`."""

import pytest

from trainer.config import references


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
    ("text", "message"),
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
def test_what_cannot_be_read_is_said_in_one_sentence(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        references.parse(text)
    assert "\n" not in str(raised.value)
