"""Views and modalities in the words of a table, and the columns that hold them."""

import re
from collections import Counter
from collections.abc import Callable, Mapping

from etils import epy

with epy.lazy_imports():  # pydicom
    from trainer.data.decode import dicom

VIEW_NAMES = ("viewposition", "projection", "frontallateral", "view", "views")
MODALITY_NAMES = ("modality",)
FRONTAL = ("PA", "AP", "FRONTAL")
ALIASES = {"FRONT": "FRONTAL", "SIDE": "LATERAL", "PROFILE": "LATERAL"}
OTHER_VIEWS = ("AXIAL", "CORONAL", "SAGITTAL", "COSTAL", "EXCLUDE")  # PadChest has the last two
RADIOGRAPHS = {"XRAY", "XRAYS", "XR", "CXR", "RX", "RADIOGRAPH", "RADIOGRAPHY", "DR"}
OTHER_MODALITIES = {"CT", "MR", "MRI", "US", "ULTRASOUND", "PT", "PET", "NM", "MG", "XA", "RF"}
LEAST_KNOWN = 0.95  # of a column's cells, for it to be known by its values


def view_of(cell: str) -> str:
    """Returns the view that a cell names, a key of `dicom.VIEWS` or another word; "" for none.

    "AP Supine" -> "AP"; "L" -> "LATERAL"; "PA and lateral" -> "", since that is a study.
    """
    words = {ALIASES.get(word, word) for word in re.findall("[A-Z]+", cell.upper())}
    views = [view for view, names in dicom.VIEWS.items() if names & words]
    if "LATERAL" in views and set(views) & set(FRONTAL):
        return ""
    if views:
        return views[0]
    if words == {"L"}:
        return "LATERAL"
    return next((word for word in ("FRONTAL", *OTHER_VIEWS) if word in words), "")


def in_name(path: str) -> str:
    """Returns the view in a name as BIMCV or CheXpert has it, or "".

    "..._bp-chest_vp-pa_dx.png" -> "pa"; "study1/view2_lateral.jpg" -> "lateral".
    """
    match = re.search(r"(?:_vp-|^view\d+_)([a-z]+)", re.split(r"[/\\]", path)[-1])
    return match[1] if match else ""


def modality_of(cell: str) -> str:
    """Returns "radiograph", the name of another modality, or "" for what is none."""
    word = re.sub("[^A-Z]", "", cell.upper())
    if word in RADIOGRAPHS or word in dicom.MODALITIES:
        return "radiograph"
    return word if word in OTHER_MODALITIES else ""


def refusal(view: str, modality: str, *, any_view: bool) -> str:
    """Returns why a row with these cells is left out, or ""."""
    if modality_of(modality) not in ("", "radiograph"):
        return f"modality {modality[:40]}"
    named = view_of(view)
    if named and named not in FRONTAL and not any_view:
        article = "an" if named[0] in "AEIOU" else "a"
        return f"{article} {named.lower()} view (--any_view takes them)"
    return ""


def find_columns(values: Mapping[str, Counter]) -> tuple[str, str]:
    """Returns the columns of views and of modalities, "" where there is none.

    A column is one by its values, of which 95 % are views or modalities, some of them not wanted
    and some wanted, or by its name and any such value.

    Args:
      values: how often each value is in each column that may be one.
    """
    view = _find(values, VIEW_NAMES, view_of, wanted=FRONTAL)
    modality = _find(values, MODALITY_NAMES, modality_of, wanted=("radiograph",))
    return view, modality


def _find(
    values: Mapping[str, Counter],
    names: tuple[str, ...],
    meaning: Callable[[str], str],
    *,
    wanted: tuple[str, ...],
) -> str:
    def of_name(column: str) -> bool:
        return re.sub("[^a-z]", "", column.lower()) in names

    for column in sorted(values, key=lambda column: not of_name(column)):
        cells = {cell: count for cell, count in values[column].items() if cell}
        known = {cell: meaning(cell) for cell in cells}
        share = sum(n for cell, n in cells.items() if known[cell]) / (sum(cells.values()) or 1)
        named = set(known.values()) - {""}
        both = named & set(wanted) and named - set(wanted)
        if (named and of_name(column)) or (both and share >= LEAST_KNOWN):
            return column
    return ""
