"""The audit of a source: what its files hold, and whether they can be trusted.

Its facts can be written as JSON:
  source, synthetic, prepared, identifying, labels, classes: what was audited; where it is
    `identifying`, names and patients are hashes, those of `prepare` with the same salt
  verdict: {severity, sentence}; severity is ok, look or danger
  findings: [{severity, about, title, meaning, advice: [...]}], the worst first
  splits: {split: {images, patients, refused, per_label: {label: {positive, negative, unknown}}}}
  damage: {count, reasons: {reason: files}, files: [{name, split, reason}]}, at most 200 listed
  sizes: {width, height: {least, median, most}, different}, pixels; null without images
  duplicates: {exact, near: {groups, images, within: {split: groups}, across, one_patient,
    conflicts, members: [[{name, split, patient, positive: [label]}]]}}, at most 200 listed
  patients: {known: share of the images, across: [patient], shared_numbers}
  shortcuts: {relations: [{label, traces, train, test, transfer, holds, typical}], too_few:
    [label]}, where train, test and transfer are null or {value, low, high}, an AUC with its 95 %
    interval; see `trainer.data.audit.shortcuts.Shortcut`
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from trainer.data import sources
from trainer.data.audit import image_statistics, inspection, shortcuts, verdicts
from trainer.data.audit.inspection import Inspected
from trainer.data.audit.prepared import Prepared, is_prepared
from trainer.data.sources import pseudonym
from trainer.data.sources.image_record import Source
from trainer.system.errors import UsageError

DICOM = "DICOM files"  # not their path, which may name a patient


def open_source(name: str, options: sources.Options) -> Source:
    """Returns the source called `name`: a prepared data set, or what `prepare` would take.

    Raises:
      UsageError: if there is no such source, or it cannot be read.
    """
    path = epath.Path(name)
    return Prepared(path) if is_prepared(path) else sources.open_source(name, options)


def audit(
    source: Source, *, any_view: bool = False, salt: str = ""
) -> tuple[dict[str, Any], list[Inspected]]:
    """Reads every image of a source and judges what it finds.

    Args:
      source: what is audited.
      any_view: takes DICOM's lateral views too.
      salt: of the hashes that stand for names and patients of an identifying source; "" draws one.

    Returns:
      The facts, and what was read, in the order of the source.

    Raises:
      UsageError: if the source has no records.
    """
    records = list(source.records())
    if not records:
        raise UsageError(f"--source={source.name} holds no images.")
    if source.identifying:
        records = pseudonym.all_pseudonymous(records, salt)
    found = inspection.inspect_all(source, records, any_view)
    good = [f for f in found if not f.reason]
    facts = {
        "source": DICOM if source.identifying else source.name,
        "synthetic": source.synthetic,
        "prepared": isinstance(source, Prepared),
        "identifying": source.identifying,
        "labels": list(source.labels),
        "classes": list(source.classes),
        "splits": image_statistics.counts(found, source.labels),
        "damage": image_statistics.damage(found),
        "sizes": image_statistics.sizes(good) if good else None,
        "duplicates": image_statistics.copies(good, source.labels),
        "patients": image_statistics.patients([f.record for f in good]),
        "shortcuts": _shortcuts(good, source.labels),
    }
    judged = verdicts.judge(facts)
    severity, sentence = verdicts.verdict(judged)
    facts["verdict"] = {"severity": severity, "sentence": sentence}
    facts["findings"] = [
        dataclasses.asdict(finding) | {"advice": list(finding.advice)} for finding in judged
    ]
    return facts, found


def describe(facts: Mapping[str, Any]) -> str:
    """Returns the verdict and the findings as lines for the terminal."""
    lines = [facts["verdict"]["sentence"], ""]
    return "\n".join(lines + [f"{f['severity']:<7} {f['title']}" for f in facts["findings"]])


def _shortcuts(good: Sequence[Inspected], labels: Sequence[str]) -> dict[str, Any]:
    if not good:
        return {"relations": [], "too_few": list(labels)}
    relations = shortcuts.measure(
        [f.trace for f in good],
        np.array([f.record.labels for f in good]),
        # An image of an unknown patient counts as a patient of its own.
        [f.record.patient or f.record.name for f in good],
        np.array([f.record.split == "test" for f in good]),
        labels,
    )
    judged = {relation.label for relation in relations}
    return {
        "relations": [dataclasses.asdict(relation) for relation in relations],
        "too_few": [label for label in labels if label not in judged],
    }
