"""The flags of how a source is read, the same for `prepare` and `audit`."""

import sys
from dataclasses import fields
from typing import Any

from absl import flags
from etils import epy

from trainer.commands import path_flags
from trainer.system.errors import UsageError

with epy.lazy_imports():
    from trainer.data import sources

# Flags whose empty value, as of a shell's unset variable, would not be what was meant.
NAMING = (
    *("path_column", "label_columns", "patient_column", "view_column", "modality_column"),
    *("reader_column", "split_column", "patient_regex", "class_from", "positive", "map_labels"),
)


def define(flag_values: flags.FlagValues) -> None:
    """Defines the flags in `flag_values`; commands call it before parsing."""
    common: dict[str, Any] = {"flag_values": flag_values}
    path_flags.define_path(
        "image_root", "", "folder that a table's image paths start from", **common
    )
    flags.DEFINE_string("encoding", "", "a table's encoding; default: UTF-8", **common)
    flags.DEFINE_list("join", [], "tables whose columns are added, by shared columns", **common)
    flags.DEFINE_string("path_column", "", "a table's column of image paths", **common)
    flags.DEFINE_list(
        "label_columns",
        [],
        "a table's columns of labels; a single column may hold several names",
        **common,
    )
    flags.DEFINE_string("separator", "", "between labels in a cell; none: a cell is one", **common)
    flags.DEFINE_string(
        "patient_column", "", "a table's column of patients; none: nothing tells them", **common
    )
    flags.DEFINE_string("view_column", "", "a table's column of views, such as PA", **common)
    flags.DEFINE_string("modality_column", "", "a table's column of modalities", **common)
    flags.DEFINE_string("reader_column", "", "a table's column of readers", **common)
    flags.DEFINE_enum(
        "readers",
        "",
        ["", "any", "majority"],
        "unites rows of an image: a label holds that any row, or most of its readers, give",
        **common,
    )
    flags.DEFINE_string("split_column", "", "a table's column of train, val and test", **common)
    flags.DEFINE_enum(
        "uncertain",
        "ignore",
        ["ignore", "positive", "negative"],
        "what a label of -1 in a table counts as",
        **common,
    )
    flags.DEFINE_string(
        "patient_regex",
        "",
        "finds the patient in a file name: the group patient, the first group, or the whole match",
        **common,
    )
    flags.DEFINE_integer(
        "class_level",
        0,
        "which folder of a path is the class: from 1 at the top, or -1 for the last; 0 finds it",
        **common,
    )
    flags.DEFINE_string(
        "class_from",
        "",
        "finds the class in a file name: the group class, the first group, or the whole match",
        **common,
    )
    flags.DEFINE_list("exclude", [], "files and folders to leave out, as in masks,*_old", **common)
    flags.DEFINE_bool(
        "unlabelled", False, "no folder is a class: a set for prediction alone", **common
    )
    flags.DEFINE_string("positive", "", "of two classes, the finding, whose label is 1", **common)
    flags.DEFINE_string(
        "map_labels",
        "",
        "renames and merges labels: old=new,older=new, or a file with old,new in each line",
        **common,
    )
    flags.DEFINE_list(
        "keep_columns",
        [],
        "columns kept of each image: a table's, or sex, age, view, modality and manufacturer of "
        "DICOM files; COLUMN=NAME renames one",
        **common,
    )
    flags.DEFINE_bool("any_view", False, "takes lateral views too", **common)
    flags.DEFINE_string(
        "salt",
        "",
        "key of the hashes that replace identifying names and patients; drawn if none is given",
        **common,
    )


def options(flag_values: flags.FlagValues) -> "sources.Options":
    """Returns the options that the parsed flags give."""
    given: dict[str, Any] = {}
    for field in fields(sources.Options):
        flag = flag_values[field.name]
        value = flag.value
        if flag.present and not value and field.name in NAMING:
            raise UsageError(f"--{field.name}= is empty: give a value, or leave the flag out.")
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return sources.Options(**given)


def show_reading(source: "sources.Source") -> None:
    """Prints how a source was read, before any work on it."""
    if source.reading:
        print(source.reading.describe(source.name), file=sys.stderr)
    for note in getattr(source, "notes", ()):  # of tables
        print(note, file=sys.stderr)
