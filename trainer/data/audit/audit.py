"""The audit of a source: facts about its files, and whether they can be trusted.

The facts can be written as JSON:
  source, synthetic, prepared, identifying, labels, classes: what was audited; where it is
    `identifying`, names and patients are hashes, those of `prepare` with the same salt
  verdict: {severity, sentence}; severity is ok, look or danger
  findings: [{severity, about, title, meaning, advice: [...]}], the worst first
  reading: {how, classes, finding, splits, left_out}, the last four with {files, example} of each
    group; null where nothing was chosen; see `trainer.data.sources.reading`
  splits: {split: {images, patients, refused, per_label: {label: {positive, negative, unknown}}}}
  damage: {count, reasons: {reason: files}, files: [{name, split, reason}]}, at most 200 listed
  left_out: the same of sound files that are not asked for, such as lateral views
  sizes: {width, height: {least, median, most}, different}, pixels; null without images
  duplicates: {exact, near, turned: {groups, images, within: {split: groups}, across, one_patient,
    conflicts, members: [[{name, split, patient, positive: [label]}]]}}, at most 200 listed
  patients: {known: share of the images, across: [patient], shared_numbers}
  shortcuts: {relations: [{label, traces, train, test, transfer, holds, typical}], too_few:
    [label]}, where train, test and transfer are null or {value, low, high}, an AUC with its 95 %
    interval; see `trainer.data.audit.shortcuts.Shortcut`
  label_errors: {labels: {label: {suspected, expected}}, images: [{name, patient, labelled,
    probably, margin}]}, at most 200 listed; null where no cross-validation was given
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.data.audit import (
    image_statistics,
    inspection,
    shortcuts,
    suspected_labels,
    verdicts,
)
from trainer.data.audit.inspection import InspectedFile
from trainer.data.audit.prepared import PreparedSource
from trainer.data.audit.shortcuts import Shortcut
from trainer.data.sources import pseudonym
from trainer.data.sources.image_record import Source
from trainer.system.errors import UsageError


def audit(
    source: Source,
    *,
    any_view: bool = False,
    salt: str = "",
    label_errors: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[InspectedFile]]:
    """Reads every image of a source and judges what it finds.

    Args:
      source: what is audited.
      any_view: takes DICOM's lateral views too.
      salt: of the hashes that stand for names and patients of an identifying source; "" draws one.
      label_errors: see `suspected_labels.read`.

    Returns:
      The facts, and the inspected files in the order of the source.

    Raises:
      UsageError: if the source has no records, or `label_errors` is of others.
    """
    records = list(source.records())
    if not records:
        raise UsageError(f"--source={source.name} holds no images.")
    if source.identifying:
        records = pseudonym.all_pseudonymous(records, salt)
    if label_errors:
        label_errors = suspected_labels.among(records, label_errors, source.name)
    prepared = isinstance(source, PreparedSource)
    files = inspection.inspect_all(source, records, any_view, in_threads=prepared)
    usable = [file for file in files if not file.reason]
    facts = {
        "source": pseudonym.source_name(source),
        "synthetic": source.synthetic,
        "prepared": prepared,
        "identifying": source.identifying,
        "labels": list(source.labels),
        "classes": list(source.classes),
        "reading": source.reading and source.reading.as_json(with_paths=not source.identifying),
        "splits": image_statistics.counts(files, source.labels),
        "damage": image_statistics.damage(files),
        "left_out": image_statistics.damage(files, left_out=True),
        "sizes": image_statistics.sizes(usable) if usable else None,
        "duplicates": image_statistics.copies(usable, source.labels),
        "patients": image_statistics.patients([file.record for file in usable]),
        "shortcuts": _shortcuts(usable, source.labels, source.columns),
        "label_errors": label_errors,
    }
    judged = verdicts.judge(facts)
    severity, sentence = verdicts.overall(judged)
    facts["verdict"] = {"severity": severity, "sentence": sentence}
    facts["findings"] = [
        dataclasses.asdict(verdict) | {"advice": list(verdict.advice)} for verdict in judged
    ]
    return facts, files


def describe(facts: Mapping[str, Any]) -> str:
    """Returns the verdict and the findings as lines for the terminal."""
    lines = [facts["verdict"]["sentence"], ""]
    return "\n".join(lines + [f"{f['severity']:<7} {f['title']}" for f in facts["findings"]])


def _shortcuts(
    files: Sequence[InspectedFile], labels: Sequence[str], columns: Sequence[str]
) -> dict[str, Any]:
    if not files:
        return {"relations": [], "too_few": list(labels)}
    relations = shortcuts.measure(
        [file.features for file in files if file.features],
        np.array([file.record.labels for file in files]),
        # An image of an unknown patient counts as a patient of its own.
        patients=[file.record.patient or file.record.name for file in files],
        in_test=np.array([file.record.split == "test" for file in files]),
        names=labels,
        columns={
            name: [file.record.columns[place] if file.record.columns else "" for file in files]
            for place, name in enumerate(columns)
        },
    )
    measured = {relation.label for relation in relations}
    return {
        "relations": [_as_json(relation) for relation in relations],
        "too_few": [label for label in labels if label not in measured],
    }


def _as_json(shortcut: Shortcut) -> dict[str, Any]:
    """Returns a shortcut under the keys of audit.json, which calls file features traces."""
    fields = dataclasses.asdict(shortcut)
    return {"label": fields.pop("label"), "traces": fields.pop("features"), **fields}
