"""Labels that are probably wrong, as `radiograph seeds --folds` has found them, in an audit."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from trainer.data.sources.image_record import ImageRecord
from trainer.system import json_files
from trainer.system.errors import UsageError
from trainer.system.printable import cell

SUMMARY, TABLE = "folds.json", "label_errors.csv"  # in the folder of the runs
LISTED = 200
DEVIATIONS = 1.96  # above what is expected, from which on chance alone is no explanation


def read(folder: epath.PathLike) -> dict[str, Any]:
    """Returns what a cross-validation has found, the most suspect image first.

    Args:
      folder: the --workdir of `radiograph seeds --folds`.

    Returns:
      {labels: {label: {suspected, expected}}, images: [{name, labelled, probably, margin}]}; a name
      is as the table has it.

    Raises:
      UsageError: there is none, or a file of it cannot be read.
    """
    folder = epath.Path(folder)
    if missing := [name for name in (SUMMARY, TABLE) if not (folder / name).exists()]:
        raise UsageError(
            f"--label_errors={folder} lacks {' and '.join(missing)}: give the --workdir of a "
            "finished radiograph seeds --folds."
        )
    counts = json_files.read(folder / SUMMARY)
    with json_files.damage_reported(folder / TABLE):
        rows = list(csv.DictReader(io.StringIO((folder / TABLE).read_text(), newline="")))
        images = [
            {key: row[key] for key in ("name", "labelled", "probably")}
            | {"margin": float(row["margin"])}
            for row in rows
        ]
    with json_files.damage_reported(folder / SUMMARY):
        labels = {
            label: {"suspected": int(found["suspected"]), "expected": float(found["expected"])}
            for label, found in counts["label_errors"].items()
        }
    return {"labels": labels, "images": sorted(images, key=lambda image: -image["margin"])}


def among(records: Sequence[ImageRecord], found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Returns what was found with the names of the audited records, `LISTED` images at most.

    Raises:
      UsageError: it is of other images.
    """
    by_cell = {cell(record.name): record for record in records}
    for image in found["images"]:
        if image["name"] not in by_cell:
            raise UsageError(
                f"--label_errors is of other images, as {image['name']}, which --source={source} "
                "does not have: give what the folds were prepared from, with the same --salt, or a "
                "prepared fold."
            )
    images = [
        {**image, "name": record.name, "patient": record.patient}
        for image in found["images"][:LISTED]
        for record in [by_cell[image["name"]]]
    ]
    return {"labels": found["labels"], "images": images}


def is_excess(suspected: int, expected: float) -> bool:
    """Returns whether more are suspected than right labels and chance would explain."""
    return suspected > expected + DEVIATIONS * math.sqrt(expected)
