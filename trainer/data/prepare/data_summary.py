"""The summary of a prepared data set: what is stored, and the table for the terminal."""

from collections.abc import Mapping
from typing import Any

from trainer.data import summary_file
from trainer.data.prepare import skipped_files, splits
from trainer.data.prepare.examination import Examination
from trainer.data.sources import pseudonym
from trainer.data.sources.image_record import ImageRecord, Source


def summarize(
    source: Source,
    choices: Mapping[str, Any],
    assignment: splits.SplitAssignment,
    *,
    found: Examination,
    stored: Mapping[str, ImageRecord],
    written: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the content of data_summary.json, in which nothing identifies a patient.

    Args:
      source: what was prepared.
      choices: how it was prepared, its labels and classes, and whether they are exclusive.
      assignment: of all usable records.
      found: all records, with the reasons why some are not used.
      stored: each record as it is stored, by the name that its source has for it.
      written: splits and shards, read from what was written.
    """
    summary = {
        "source": pseudonym.source_name(source),
        "synthetic": source.synthetic,
        **choices,
    }
    if not summary["exclusive"]:
        del summary["exclusive"]
    if source.columns:
        summary["columns"] = list(source.columns)
    if source.reading:
        summary["reading"] = source.reading.as_json(with_paths=not source.identifying)
    if (notes := getattr(source, "notes", ())) and not source.identifying:
        summary["notes"] = list(notes)
    summary["copies"] = len(found.results) - len({file.digest for file in found.results})
    summary |= _listed_files(assignment, found, stored)
    return summary_file.with_fingerprint({**summary, **written})


def _listed_files(
    assignment: splits.SplitAssignment, found: Examination, stored: Mapping[str, ImageRecord]
) -> dict[str, Any]:
    """Returns the files that were skipped, left out, moved or contradictory, as they are stored."""
    return {
        **{
            name: [
                {"split": record.split, "name": stored[record.name].name, "reason": reason}
                for record, reason in files
            ]
            for name, files in (("skipped", found.skipped), ("left_out", found.left_out))
        },
        "moved": [item | {"name": stored[item["name"]].name} for item in assignment.moved],
        "conflicts": [
            item | {"names": [stored[name].name for name in item["names"]]}
            for item in assignment.conflicts
        ],
    }


def describe(summary: dict) -> str:
    """Returns the summary as a table of counts for the terminal."""
    width = max([12, *(len(name) + 2 for name in summary["labels"])])
    lines = [f"{'':<{width}}" + "".join(f"{split:>24}" for split in summary["splits"])]
    for row in ("patients", "images"):
        counts = "".join(f"{split[row]:>24,}" for split in summary["splits"].values())
        lines.append(f"{row:<{width}}{counts}")
    shown: tuple[str, ...] = ("positive", "negative", "unknown")
    legend = "Labels: positive / negative / unknown."
    if summary.get("exclusive"):
        shown = ("positive",)
        legend = "Every image is of one of these classes; with --noexclusive each is a label."
    if not summary["labels"] and not summary.get("all_test"):
        legend = "Unlabelled: for a pretraining alone."
    elif not summary["labels"]:
        legend = "Unlabelled: for prediction, neither for training nor for evaluation."
    elif summary.get("all_test"):
        legend += " All images are in test: for evaluation, not for training."
    for label in summary["labels"]:
        by_split = [split["per_label"][label] for split in summary["splits"].values()]
        cells = [" / ".join(f"{split[value]:,}" for value in shown) for split in by_split]
        lines.append(f"{label:<{width}}" + "".join(f"{cell:>24}" for cell in cells))
    lines.append(legend)
    lines += _known(summary)
    listed_reasons = {item["reason"] for item in summary.get("left_out", [])}
    left_out = sum(
        group["files"]
        for reason, group in summary.get("reading", {}).get("left_out", {}).items()
        if reason not in listed_reasons
    )
    for count, meaning in (
        (left_out, "files were left out by how the source is read (data_summary.json says why)"),
        (summary.get("copies", 0), "images are identical to another, and in one split with it"),
    ):
        if count:
            lines.append(f"{count:,} {meaning}")
    for name, meaning in (
        ("left_out", "left out by choice"),
        ("skipped", "cannot be used"),
        ("moved", "are held out with an identical or near-identical file"),
        ("conflicts", "sets of identical files have different labels"),
    ):
        if summary.get(name):
            lines.append(f"{len(summary[name]):,} {meaning} (data_summary.json lists them)")
    for name in ("left_out", "skipped"):
        listed = summary.get(name, [])
        lines += skipped_files.table([(item["name"], item["reason"]) for item in listed])
    return "\n".join(lines)


def _known(summary: Mapping) -> list[str]:
    """Returns a line for each label that is not known of every image."""
    images = sum(split["images"] for split in summary["splits"].values())
    lines = []
    for label in summary["labels"]:
        unknown = sum(s["per_label"][label]["unknown"] for s in summary["splits"].values())
        if unknown:
            lines.append(f"{label}: {images - unknown:,} of {images:,} known")
    return lines
