"""The negative class is known by its name, and a class by any of its spellings."""

import unicodedata

import pytest

from trainer.data.sources.class_names import is_negative, one_spelling, order_classes
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    "name",
    [
        *(
            "normal",
            "NORMAL",
            "Normal ",
            "normal_cxr",
            "00 Normal",
            "Healthy",
            "control",
            "negative",
        ),
        *("NonCOVID", "Non-COVID", "NON-COVID", "noncovid", "No effusion", "No Finding", "NoTB"),
        *("no_finding", "Uninfected", "Not infected", "-", "TB-", "COVID-negative", "0", "no"),
        *("benign", "disease-free", "without effusion"),
        *("negativo", "n\u00e9gatif", "sano", "gesund", "unauff\u00e4llig", "\u6b63\u5e38"),
    ],
)
def test_the_class_without_a_finding_is_negative(name: str):
    assert is_negative(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "COVID",
            "COVID-19",
            "abnormal",
            "Not normal",
            "non-normal",
            "Nodule",
            "NODULE",
            "1",
            "yes",
        ),
        *("TB+", "unhealthy", "Infected", "malignant", "Lung_Opacity", "Viral Pneumonia", "10"),
    ],
)
def test_a_finding_is_not_negative(name: str):
    assert not is_negative(name)


def test_the_negative_class_is_class_0():
    assert order_classes({"COVID", "NORMAL"}) == ["NORMAL", "COVID"]
    assert order_classes({"No Finding", "Edema"}) == ["No Finding", "Edema"]
    assert order_classes({"VIRUS", "normal", "COVID"}) == ["normal", "COVID", "VIRUS"]
    assert order_classes({"a", "b"}, "A ") == ["b", "a"]
    assert order_classes({"infected", "Notinfected"}) == ["Notinfected", "infected"]
    assert order_classes({"normal", "nonormal"}) == ["normal", "nonormal"]
    assert order_classes({"nodule", "nonnodule", "mass"}) == ["nonnodule", "mass", "nodule"]
    for names in ({"a", "b"}, {"healthy", "normal"}):
        with pytest.raises(UsageError, match="--positive=a or|--positive=healthy or"):
            order_classes(names)


def test_spellings_of_one_class_become_the_most_frequent():
    decomposed = unicodedata.normalize("NFD", "\u00fc")
    names = {"Normal": 3, "NORMAL": 5, "normal ": 1, "\u00fc": 1, decomposed: 2, "TB-": 1, "TB": 1}
    assert one_spelling(names) == {
        **dict.fromkeys(("Normal", "NORMAL", "normal "), "NORMAL"),
        **dict.fromkeys(("\u00fc", decomposed), "\u00fc"),
        "TB-": "TB-",
        "TB": "TB",
    }
    assert set(one_spelling({"COVID-19": 2, "COVID19": 1, "covid 19\u200b": 1}).values()) == {
        "COVID-19"
    }
    assert len(set(one_spelling({"stage 1": 1, "stage 2": 1, "stage 1-2": 1}).values())) == 3
    assert set(one_spelling({"No Finding": 2, "no_finding": 1, "no-finding": 1}).values()) == {
        "No Finding"
    }
