"""Columns of views and modalities are known by their values, and decide what is left out."""

from collections import Counter
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import Options, views


@pytest.mark.parametrize(
    ("cell", "view"),
    [
        *(("PA", "PA"), ("AP Supine", "AP"), ("AP_horizontal", "AP"), ("Frontal", "FRONTAL")),
        *(("L", "LATERAL"), ("LL", "LATERAL"), ("lateral", "LATERAL"), ("AP LLD", "DECUBITUS")),
        *(("Axial", "AXIAL"), ("CHEST (PA AND LAT)", ""), ("", ""), ("R", ""), ("female", "")),
        *(("front", "FRONTAL"), ("side view", "LATERAL")),
    ],
)
def test_the_view_of_a_cell(cell: str, view: str):
    assert views.view_of(cell) == view


@pytest.mark.parametrize(
    ("path", "view"),
    [
        ("sub-1/sub-1_bp-chest_vp-pa_dx.png", "pa"),
        ("test/patient64741/study1/view2_lateral.jpg", "lateral"),
        ("C:\\study1\\view1_frontal.jpg", "frontal"),
        ("review2_lateral.jpg", ""),
    ],
)
def test_the_view_in_a_public_name(path: str, view: str):
    assert views.in_name(path) == view


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ({"x": ["PA", "L", ""], "kind": ["X-ray", "CT", "CT"]}, ("x", "kind")),
        ({"side": ["L", "R"], "kind": ["X-ray", "X-ray"]}, ("", "")),
        ({"x": ["PA", "AP"], "View Position": ["PA", "foo"]}, ("View Position", "")),
        ({"x": ["PA", "LL", *["other"] * 5]}, ("", "")),
        ({"modality": ["CT"], "view": ["good", "bad"]}, ("", "modality")),
    ],
)
def test_columns_are_known_by_their_values(values: dict, columns: tuple[str, str]):
    counted = {name: Counter(cells) for name, cells in values.items()}
    assert views.find_columns(counted) == columns


def test_rows_of_other_views_and_modalities_are_left_out(tmp_path: Path):
    rows = ("a.png,1,PA,XR", "b.png,0,L,XR", "c.png,1,PA,CT", "d.png,0,,")
    (tmp_path / "t.csv").write_text("\n".join(["file,x,direction,kind", *rows]))
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    asked = {"path_column": "file", "label_columns": ("x",)}
    table = str(tmp_path / "t.csv")
    source = sources.open_source(table, Options(**asked))
    assert [r.refused[:11] for r in source.records()] == ["", "a lateral v", "modality CT", ""]
    assert all(r.left_out == bool(r.refused) for r in source.records())
    assert [note.split("'")[1] for note in source.notes if "decide" in note] == [
        "direction",
        "kind",
    ]
    every = sources.open_source(table, Options(**asked, any_view=True)).records()
    assert [bool(r.refused) for r in every] == [False, False, True, False]
    given = Options(**asked, view_column="kind", modality_column="kind")
    refused = [bool(r.refused) for r in sources.open_source(table, given).records()]
    assert refused == [False, False, True, False]
