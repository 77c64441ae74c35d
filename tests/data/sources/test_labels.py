"""Cells become labels: values, names, or one of two classes."""

import pytest

from trainer.data.sources.labels import Labels, read_labels
from trainer.data.sources.table_schema import NIH_FINDINGS, Schema
from trainer.system.errors import UsageError


def read(
    *cells: str | tuple[str, ...],
    uncertain: str = "ignore",
    separator: str = "",
    positive: str = "",
    map_labels: str = "",
    **schema: bool | tuple[str, ...],
) -> Labels:
    rows = [(cell,) if isinstance(cell, str) else cell for cell in cells]
    names = tuple(f"L{n}" for n in range(len(rows[0])))
    lines = range(2, len(rows) + 2)
    return read_labels(
        "t.csv",
        lines,
        rows,
        schema=Schema(labels=names, **schema),
        uncertain=uncertain,
        separator=separator,
        positive=positive,
        map_labels=map_labels,
    )


def test_every_way_to_write_a_value():
    found = read(
        *("1", "1.0", "true", "TRUE", "Yes", "positive", "Y", "t", "present", "pos", "+"),
        *("0", "0.0", "False", "no", "Negative", "N", "f", "absent", "neg", "-", ""),
    )
    assert [value for (value,) in found.values] == [1] * 11 + [0] * 10 + [-1]
    assert found.names == ("L0",) and found.classes == ("no L0", "L0")


@pytest.mark.parametrize(("uncertain", "value"), [("ignore", -1), ("positive", 1), ("negative", 0)])
def test_the_policy_for_uncertain_labels(uncertain: str, value: int):
    found = read(("-1", "1"), ("-1.0", ""), uncertain=uncertain)
    assert found.values == [(value, 1), (value, -1)]
    assert found.names == ("L0", "L1") and found.classes == ()


def test_a_blank_is_unknown_or_negative_as_the_table_has_it():
    assert read(("", "1"), ("nan", "NA")).values == [(-1, 1), (-1, -1)]
    assert read(("", "1"), blank_is_negative=True).values == [(0, 1)]


@pytest.mark.parametrize("cell", ["maybe", "2", "0.5"])
def test_another_value_is_refused_with_its_place(cell: str):
    with pytest.raises(
        UsageError, match=rf"t.csv line 3, column 'L1' holds '{cell}': a label is 1"
    ):
        read(("1", "0"), ("0", cell))


def test_one_column_of_names_is_as_many_labels():
    found = read("Mass|Edema", "No Finding", "Edema", "", " Mass | Nodule")
    assert found.names == ("Edema", "Mass", "Nodule") and found.classes == ()
    assert found.values == [(1, 1, 0), (0, 0, 0), (1, 0, 0), (-1, -1, -1), (0, 1, 1)]


def test_a_part_of_a_public_table_has_all_its_labels_and_no_others():
    found = read("Hernia", "No Finding", findings=NIH_FINDINGS)
    assert found.names == NIH_FINDINGS
    assert [sum(values) for values in found.values] == [1, 0]
    with pytest.raises(UsageError, match="line 3, column 'L0' holds 'Hernea': a finding is one of"):
        read("Hernia", "Mass|Hernea", findings=NIH_FINDINGS)


def test_findings_and_no_finding_contradict_each_other():
    found = read("Mass|Edema", "No Finding|Mass", "No Finding")
    assert found.refused == {1: "it has findings and also No Finding"}


def test_two_names_are_two_classes():
    found = read("PNEUMONIA", "NORMAL", "", "PNEUMONIA")
    assert found.classes == ("NORMAL", "PNEUMONIA") and found.names == ("PNEUMONIA",)
    assert found.values == [(1,), (0,), (-1,), (1,)]


def test_three_names_are_three_labels_and_a_single_finding_has_two_classes():
    assert read("VIRUS", "NORMAL", "COVID").values == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    found = read("Edema", "No Finding|", "Edema")
    assert found.names == ("Edema",) and found.classes == ("no Edema", "Edema")


def test_a_column_of_everything_is_no_column_of_labels():
    with pytest.raises(UsageError, match="holds 300 different names, and 1 to 250 can be labels"):
        read(*(f"note {n}" for n in range(300)))


@pytest.mark.parametrize("cells", [("2", "3"), ("0", "1", "2"), ("1", "0", "unsure")])
def test_numbers_that_are_no_labels_are_refused(cells: tuple[str, ...]):
    with pytest.raises(UsageError, match="a label is 1, 0, -1, blank"):
        read(*cells)


@pytest.mark.parametrize("cells", [("Y", "N"), ("+", "-"), ("present", "absent"), ("T", "F", "")])
def test_two_words_for_yes_and_no_are_values_of_the_column(cells: tuple[str, ...]):
    found = read(*cells)
    assert found.classes == ("no L0", "L0") and found.values[:2] == [(1,), (0,)]


def positives(found: Labels) -> list[str]:
    return [
        "+".join(name for name, value in zip(found.names, values, strict=True) if value == 1)
        for values in found.values
    ]


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (("mass", "mass, edema", "edema", "No Finding"), ("mass", "edema+mass", "edema", "")),
        (("mass", "mass; edema", "edema", "nan"), ("mass", "edema+mass", "edema", "")),
        (
            ("mass;", "mass; edema,cyst", "edema", "cyst"),
            ("mass", "cyst+edema+mass", "edema", "cyst"),
        ),
        (("o", "o/left", "o/left/low", "none"), ("o", "left+o", "left+low+o", "")),
        (("p/viral/x", "p/viral", "q", "normal"), ("p+viral+x", "p+viral", "q", "")),
        (("['a b', 'c']", "['normal']", '["d\'s"]', "[]"), ("a b+c", "", "d's", "")),
        (("x / not y", "y", "z"), ("x / not y", "y", "z")),
        (("mass, left", "mass, right", "x", "No Finding"), None),
        (("mass", "mass & edema", "edema", "none"), ("mass", "edema+mass", "edema", "")),
        (("Mass", "mass AND edema", "edema", "normal"), ("Mass", "Mass+edema", "edema", "")),
        (("mass", "mass\nedema", "edema", "-"), ("mass", "edema+mass", "edema", "")),
        (("mass", "mass and cyst", "cyst and x"), ("mass", "mass and cyst", "cyst and x")),
        (("mass", "edema", "mass, left"), None),
        (("normal", "mass, left"), None),
    ],
)
def test_separators_are_found_by_what_stands_alone(cells: tuple[str, ...], named: tuple | None):
    if named is None:
        with pytest.raises(UsageError, match="holds 'mass, left', and it is not sure .*separator"):
            read(*cells)
        assert "mass, left" in read(*cells, separator="none").names
        assert "left" in read(*cells, separator=",").names
    else:
        assert tuple(positives(read(*cells))) == named


@pytest.mark.parametrize("cell", ["[1, 0]", "1 0", "(0;1)"])
def test_several_numbers_in_a_cell_are_no_names(cell: str):
    with pytest.raises(UsageError, match="numbers and no names: give a column for each label"):
        read(cell, "[0, 1]", "[]")


def test_a_separator_that_was_found_is_said():
    assert "',' separates findings" in read("a", "b", "a, b").notes[0]
    assert not read("a", "b", "a|b").notes and not read("a", "b", "a,b", separator=",").notes


def test_words_that_are_no_finding_are_left_out():
    found = read("Mass", "todo", "Edema", "Unknown", "Mass|unknown")
    assert found.names == ("Edema", "Mass") and not found.refused
    assert found.left_out == {1: "'todo' is no finding", 3: "'Unknown' is no finding"}
    two = read("NORMAL", "nan", "PNEUMONIA", "unknown")
    assert two.classes == ("NORMAL", "PNEUMONIA") and list(two.left_out) == [3]
    assert two.values[1] == (-1,)


def test_words_beside_positive_or_negative_are_names():
    assert read("negative", "COVID", "pneumonia").names == ("COVID", "negative", "pneumonia")
    assert read("positive", "negative", "nan").values == [(1,), (0,), (-1,)]


def test_spellings_of_a_name_are_one_label_and_said():
    found = read("Normal", "Pneumonia", "normal", "PNEUMONIA", "Pneumonia")
    assert found.classes == ("Normal", "Pneumonia")
    assert [value for (value,) in found.values] == [0, 1, 0, 1, 1]
    assert found.notes == (
        "'Normal' and 'normal' are one label, Normal",
        "'PNEUMONIA' and 'Pneumonia' are one label, Pneumonia",
    )
    found = read("Mass|edema", "Edema", "mass", "Edema")
    assert found.names == ("Edema", "Mass") and found.values[0] == (1, 1)
    assert read("hernia", "Hernia|Mass", findings=NIH_FINDINGS).names == NIH_FINDINGS


@pytest.mark.parametrize("negative", ["No effusion", "Non-effusion", "-", "uninfected", "healthy"])
def test_the_negative_one_of_two_names_is_known(negative: str):
    found = read("effusion", negative)
    assert found.classes == (negative, "effusion") and found.values == [(1,), (0,)]


def test_two_names_of_which_none_is_negative_need_a_word():
    with pytest.raises(UsageError, match="--positive=early or --positive=late"):
        read("early", "late")
    assert read("early", "late", positive="early").classes == ("late", "early")
    with pytest.raises(UsageError, match="--positive=1 is for a column of names"):
        read("1", "0", positive="1")
    with pytest.raises(UsageError, match="must name one of two classes: they are a, b, c"):
        read("a", "b", "c", positive="a")


def test_names_and_columns_are_renamed_and_merged():
    found = read("Mass|Edema", "Nodule", "normal", map_labels="mass=Lesion,Nodule=Lesion")
    assert found.names == ("Edema", "Lesion")  # where a cell may hold several, normal is none
    assert found.values == [(1, 1), (0, 1), (0, 0)]
    found = read("VIRUS", "BACTERIA", "normal", "todo", map_labels="virus=P,bacteria=P,todo=")
    assert found.classes == ("normal", "P") and [v for (v,) in found.values] == [1, 1, 0, -1]
    assert found.left_out == {3: "'todo' is no finding"}
    found = read(("1", "0", "0"), ("0", "-1", "1"), map_labels="L0=A,L1=A")
    assert found.names == ("A", "L2") and found.values == [(1, 0), (-1, 1)]
    found = read("Mass|Edema", "Edema", findings=NIH_FINDINGS, map_labels="Edema=Mass,Hernia=")
    assert "Edema" not in found.names and len(found.names) == 12
