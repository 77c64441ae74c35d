"""Prepares a data set: examines every image, splits by patient, encodes, and writes."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etils import epath, epy

from trainer.data import sources, staging, summary_file
from trainer.data.prepare import (
    data_summary,
    examination,
    exclusive_classes,
    ingest,
    learnable_labels,
    patient_splits,
    splits,
    written_set,
)
from trainer.data.prepare.beam_backend import BeamBackend
from trainer.data.prepare.build_folder import build_folder
from trainer.data.prepare.local_backend import LocalBackend
from trainer.data.sources import pseudonym
from trainer.system import memory, tensorflow_import
from trainer.system.errors import UsageError

with epy.lazy_imports():  # TensorFlow, which the processes that decode do without
    from trainer.data import dataset


def prepare(
    source: sources.Source,
    out: epath.Path,
    *,
    max_side: int = 512,
    keep_validation: bool | None = None,
    any_view: bool = False,
    uniform: bool = False,
    exclusive: bool | None = None,
    all_test: bool | None = None,
    fold: tuple[int, int] | None = None,
    salt: str = "",
    names_file: str = "",
    strict: bool = False,
    max_skipped: float = 0.01,
    max_alike: float = 0.1,
    workers: int = 0,
    runner: str = "",
    beam_options: Sequence[str] = (),
) -> dict:
    """Writes the data set under `out` and returns its summary, or that of a finished one.

    The summary is written last and marks the data set as finished.

    Args:
      source: where the radiographs come from.
      out: local folder or gs://.
      max_side: longest side kept, pixels.
      keep_validation: whether the source's own val is the validation split; None where it is
        large enough.
      any_view: whether lateral views are taken.
      uniform: whether every image is encoded alike.
      exclusive: whether several labels are classes that exclude one another; None where the source
        stores them so.
      all_test: whether all images are in test, for evaluation and not for training; None for
        those of a source without labels, which can be split for a pretraining.
      fold: (n, K) makes the n-th of K folds the test split, whatever splits the source has.
      salt: of the hashes that stand for names and patients of an identifying source; "" draws one
        that nobody learns.
      names_file: where the file and the patient of each hash are written; "" for nowhere.
      strict: whether the first file that cannot be used ends it.
      max_skipped: share of the files that may be skipped.
      max_alike: share of the images that may be one group of near-duplicates of unknown patients,
        which then lies in one split.
      workers: processes that decode; 0 for as many as there are cores.
      runner: name of the Apache Beam runner that does the work; "" for this machine.
      beam_options: the runner's own options, as in "region=europe-west4".

    Raises:
      UsageError: if `out` holds another data set or files of another kind, too many files cannot be
        used, the source cannot be split, or an exclusive one has an image without one class.
      CannotWrite: if `out` cannot be written.
    """
    settings = {
        "fingerprint": source.fingerprint,
        "max_side": max_side,
        "keep_official_validation": keep_validation,
        "any_view": any_view,
        "uniform": uniform,
    }
    all_test = not source.labels if all_test is None else all_test
    if all_test:
        settings["all_test"] = True
    elif fold:
        settings["fold"] = list(fold)
    asked = exclusive and len(source.labels) > 1  # two classes are one output
    if finished := _finished(source, out, settings, exclusive=asked):
        return finished
    memory.check_address_space()  # known before all images are read
    options = ingest.DecodeOptions(max_side, any_view, uniform)
    with staging.writable(out), build_folder(out, in_bucket=bool(runner)) as building:
        folder = building.path
        backend: examination.Backend
        if runner:
            backend = BeamBackend(
                source, options, runner=runner, beam_options=beam_options, folder=folder / "beam"
            )
        else:
            workers = workers or len(os.sched_getaffinity(0))
            backend = LocalBackend(source, options, workers=workers, folder=folder)
        exclusive = source.exclusive if asked is None else asked
        records = _records(source, exclusive, propose=asked is None, all_test=all_test)
        found = examination.examine(backend, records, strict=strict, max_skipped=max_skipped)
        labels, classes = source.labels, source.classes
        if all_test:
            assignment = patient_splits.all_in_test(found)
        else:
            assignment = patient_splits.assign(
                found, keep_validation, max_alike=max_alike, fold=fold
            )
            assignment, labels, classes = _learnable(assignment, source, exclusive)
        stored = _stored(source, assignment, found, salt=salt, names_file=names_file)
        tensorflow_import.import_quietly()
        builder = functools.partial(
            dataset.Radiographs, folder, labels, classes, exclusive=exclusive
        )
        written_set.build(backend, builder, assignment=assignment, stored=stored)
        written = written_set.check(folder, labels, assignment, columns=_columns(source, stored))
        summary = data_summary.summarize(
            source,
            {**settings, "labels": list(labels), "classes": list(classes), "exclusive": exclusive},
            assignment,
            found=found,
            stored=stored,
            written=written,
        )
        building.publish(summary_file.directory(folder), summary_file.directory(out))
        summary_file.write(out, summary)
    return summary


def _finished(
    source: sources.Source, out: epath.Path, settings: Mapping[str, Any], *, exclusive: bool | None
) -> dict | None:
    """Returns the summary of the data set that is in `out` already.

    Raises:
      UsageError: if it was made in another way.
    """
    summary = summary_file.read(out)
    if not summary:
        return None
    same = (
        exclusive in (None, summary.get("exclusive", False))
        and list(source.columns) == summary.get("columns", [])
        and all(settings.get(name) == summary.get(name) for name in ("all_test", "fold"))
    )
    if not same or {name: summary.get(name) for name in settings} != settings:
        raise UsageError(
            f"--out={out} already holds a data set made from {summary['source']} in another "
            "way: name another --out, or delete that folder."
        )
    return summary


def _records(
    source: sources.Source, exclusive: bool, *, propose: bool, all_test: bool
) -> Sequence[sources.ImageRecord]:
    """Returns the records of the source, each of one class where the classes are exclusive.

    Args:
      source: where they are.
      exclusive: whether the labels are classes that exclude one another.
      propose: whether the user is told that they may be.
      all_test: whether nothing is learnt from them, so that one class is enough.

    Raises:
      UsageError: if they cannot be learnt from, or one has not exactly one class.
    """
    records = source.records()
    if not all_test and source.labels:
        splits.refuse_one_class(records)
    if exclusive:
        return exclusive_classes.one_class_each(records, source)
    if propose and exclusive_classes.are_possible(records):
        patient_splits.warn(
            f"every image has exactly one of the labels {', '.join(source.labels)}: if they "
            "are classes that exclude one another, prepare with --exclusive."
        )
    return records


def _learnable(
    assignment: splits.SplitAssignment, source: sources.Source, exclusive: bool
) -> tuple[splits.SplitAssignment, tuple[str, ...], tuple[str, ...]]:
    """Returns the assignment, labels and classes without the labels that train has no image of."""
    if len(source.labels) < 2:
        return assignment, source.labels, source.classes
    kept = learnable_labels.numbers(assignment, exclusive)
    if len(kept) == len(source.labels):
        return assignment, source.labels, source.classes
    labels = tuple(source.labels[number] for number in kept)
    gone = [label for label in source.labels if label not in labels]
    patient_splits.warn(f"no image of train has {', '.join(gone)}: left out of the labels.")
    classes = (f"no {labels[0]}", labels[0]) if len(labels) == 1 else ()
    return learnable_labels.reduced(assignment, kept), labels, classes


def _stored(
    source: sources.Source,
    assignment: splits.SplitAssignment,
    found: examination.Examination,
    *,
    salt: str,
    names_file: str,
) -> dict[str, sources.ImageRecord]:
    """Returns how each record is stored, by the name that its source has for it.

    What the hashes of an identifying source stand for is written to `names_file`.
    """
    originals = [record for split in assignment.splits.values() for record in split]
    originals += found.unused()
    records = pseudonym.all_pseudonymous(originals, salt) if source.identifying else originals
    stored = {record.name: new for record, new in zip(originals, records, strict=True)}
    if names_file:
        pseudonym.write_names(Path(names_file), stored, originals)
    elif source.identifying:
        patient_splits.warn(
            "names and patients of DICOM files are replaced by hashes: without --names_file "
            "results cannot be joined with other data of these patients later."
        )
    return stored


def _columns(
    source: sources.Source, stored: Mapping[str, sources.ImageRecord]
) -> dict[str, dict[str, str]]:
    """Returns each kept column by the names that the records are stored under."""
    return {
        column: {
            record.name: record.columns[place] if record.columns else ""
            for record in stored.values()
        }
        for place, column in enumerate(source.columns)
    }
