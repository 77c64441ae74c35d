"""Columns whose meaning their names or values tell, where neither options nor a public set do."""

import re
from collections import Counter
from dataclasses import replace

from trainer.data.sources import findings, views
from trainer.data.sources.folder_names import split_of
from trainer.data.sources.joined_table import JoinedTable
from trainer.data.sources.labels import word_value
from trainer.data.sources.options import NO_PATIENTS, Options
from trainer.data.sources.table_schema import Schema

MOST_VALUES = 40  # different ones in a column that may be one of views, modalities or splits
PATIENT = re.compile(
    r"(?:deid|anon|anonymized|dicom)?(?:patient|subject|person)(?:id|no|number|key|uid)?|pid|mrn"
)
KNOWN = {"view": "PA or lateral", "modality": "CR or CT"}
SPLIT = re.compile(r"(?:data)?(?:set|split|subset|partition|fold|group|phase|usage|mode)(?:name)?")


def find_columns(schema: Schema, table: JoinedTable, options: Options) -> tuple[Schema, list[str]]:
    """Returns the schema with the columns found, and what the user should know of them.

    Views and modalities are found by their values, patients by the column's name. A column of
    splits is said and not used, since nothing could refuse it.

    Args:
      schema: by the options and the public sets.
      table: the rows.
      options: which may say that nothing tells patients.
    """
    roles = {schema.path, *schema.labels, schema.patient, schema.split, schema.reader, ""}
    names = [n for n in table.columns if n not in roles and table.columns.count(n) == 1]
    notes = []
    values = _values(table, names)
    no_patient = not (schema.patient or options.patient_regex or options.no_patients(table.columns))
    patients = (n for n in names if _is(PATIENT, n) and not _of_values(values.get(n, Counter())))
    if no_patient and (patient := next(patients, "")):
        schema = replace(schema, patient=patient)
        values.pop(patient, None)
        notes.append(f"column {patient!r} tells the patient (--patient_column={NO_PATIENTS}: not)")
    for role, given, meaning in (
        ("view", options.view_column, views.view_of),
        ("modality", options.modality_column, views.modality_of),
    ):
        if given in values and not any(map(meaning, values[given])):
            notes.append(
                f"warning: column {given!r} holds no {role} that is known, such as {KNOWN[role]}: "
                "none is left out for it"
            )
    view, modality = views.find_columns(values)
    for found, given, what in (
        (view, schema.view, "views"),
        (modality, schema.modality, "modalities"),
    ):
        if found and not given:
            notes.append(f"column {found!r} holds {what}, which decide what is left out")
    split = next((name for name in values if _is(SPLIT, name) and _of_splits(values[name])), "")
    if split and not (schema.split or schema.split_lists or schema.split_in_path):
        notes.append(
            f"warning: column {split!r} names splits and is not used: give --split_column={split}"
        )
    schema = replace(schema, view=schema.view or view, modality=schema.modality or modality)
    return schema, notes


def _values(table: JoinedTable, names: list[str]) -> dict[str, Counter]:
    """Returns how often each value is in each column that has few of them."""
    values: dict[str, Counter] = {name: Counter() for name in names}
    for _, cells in table.rows(names):
        for name, cell in zip(names, cells, strict=True):
            if name in values:
                values[name][cell] += 1
                if len(values[name]) > MOST_VALUES:
                    del values[name]
    return values


def _is(pattern: re.Pattern, column: str) -> bool:
    return bool(pattern.fullmatch(re.sub("[^a-z]", "", column.lower())))


def _of_values(cells: Counter) -> bool:
    """Returns whether all cells are yes or no, so that they tell no patient."""
    return bool(cells) and all(word_value(cell.lower()) is not None for cell in cells if cell)


def _of_splits(cells: Counter) -> bool:
    words = [cell for cell in cells if cell and cell.lower() not in findings.MISSING]
    return len(words) > 1 and all(map(split_of, words))
