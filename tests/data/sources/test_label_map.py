"""Labels are renamed, merged and left out as the user says, and nothing else is."""

from pathlib import Path

import pytest

from trainer.data.sources.label_map import merged, read_map, renamed_cells
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    "text", ["VIRUS,PNEUMONIA\nbacteria,PNEUMONIA\ntodo,", "old,new\nvirus,PNEUMONIA\nbacteria,"]
)
def test_a_file_and_a_list_of_pairs_say_the_same(tmp_path: Path, text: str):
    (tmp_path / "map.csv").write_text(text)
    given = ",".join(line.replace(",", "=") for line in text.splitlines() if line != "old,new")
    assert read_map(str(tmp_path / "map.csv")).new_names == read_map(given).new_names


def test_the_spelling_of_an_old_name_does_not_matter():
    assert read_map("Viral Pneumonia=PNEUMONIA")("viral_pneumonia") == "PNEUMONIA"
    assert read_map("")("VIRUS") == "VIRUS"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("VIRUS", "is no text file that can be read, and no old=new"),
        ("VIRUS=a,=b", "give old=new,older=new"),
        ("VIRUS=a,virus=b", "gives 'virus' two new names"),
    ],
)
def test_what_is_no_map_is_refused(given: str, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        read_map(given)


def test_merged_labels_are_positive_where_one_is():
    names, values = merged(
        ("Edema", "Mass", "Nodule", "todo"),
        [(0, 0, 1, 1), (1, 0, 0, -1), (-1, -1, 0, 1), (0, 0, 0, 0)],
        read_map("mass=Lesion,nodule=Lesion,todo="),
    )
    assert names == ("Edema", "Lesion")
    assert values == [(0, 1), (1, 0), (-1, -1), (0, 0)]
    with pytest.raises(UsageError, match="renames 'hernia', which is no label: they are Edema"):
        merged(("Edema",), [(1,)], read_map("Hernia=x"))
    with pytest.raises(UsageError, match="leaves no label"):
        merged(("Edema",), [(1,)], read_map("Edema="))


def test_names_in_cells_have_one_spelling_and_are_renamed():
    cells = ["Mass", "mass|Edema", "Mass", "todo"]
    names_of = {cell: tuple(cell.split("|")) for cell in cells}
    renamed, lines = renamed_cells(names_of, cells, read_map("todo=,edema=Oedema"))
    assert renamed == {"Mass": ("Mass",), "mass|Edema": ("Mass", "Oedema"), "todo": ()}
    assert lines == ["'Mass' and 'mass' are one label, Mass"]
