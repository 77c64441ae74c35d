"""Prepares a data set: examines every image, splits by patient, encodes, and writes."""

import functools
import io
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from etils import epath, epy

from trainer.data import columns_file, duplicates, sources, staging, summary_file
from trainer.data.prepare import (
    data_summary,
    exclusive_classes,
    ingest,
    large_groups,
    learnable_labels,
    skipped_files,
    splits,
)
from trainer.data.prepare.beam_backend import BeamBackend
from trainer.data.prepare.build_folder import build_folder
from trainer.data.prepare.local_backend import LocalBackend
from trainer.data.sources import pseudonym
from trainer.system import memory
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine, clock

with epy.lazy_imports():  # TensorFlow, which the processes that decode do without
    import tensorflow_datasets as tfds

    from trainer.data import dataset

Backend = LocalBackend | BeamBackend

RATE_SECONDS = 3.0  # until the rate is worth showing
MOST_OF_ONE = 0.5  # share of the images that a patient may have without a word
MOST_SHOWN = 20  # skipped files with a line each in the terminal


def prepare(
    source: sources.Source,
    out: epath.Path,
    *,
    max_side: int = 512,
    keep_validation: bool | None = None,
    any_view: bool = False,
    uniform: bool = False,
    exclusive: bool | None = None,
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
    asked = exclusive and len(source.labels) > 1  # two classes are one output
    summary = summary_file.read(out)
    if summary:
        same = asked is None or asked == summary.get("exclusive", False)
        same = same and list(source.columns) == summary.get("columns", [])
        if not same or {name: summary.get(name) for name in settings} != settings:
            raise UsageError(
                f"--out={out} already holds a data set made from {summary['source']} in another "
                "way: name another --out, or delete that folder."
            )
        return summary
    exclusive = source.exclusive if asked is None else asked
    memory.check_address_space()  # known before all images are read
    options = ingest.DecodeOptions(max_side, any_view, uniform)
    with staging.writable(out), build_folder(out, in_bucket=bool(runner)) as building:
        folder = building.path
        if runner:
            backend: BeamBackend | LocalBackend = BeamBackend(
                source, options, runner=runner, beam_options=beam_options, folder=folder / "beam"
            )
        else:
            workers = workers or len(os.sched_getaffinity(0))
            backend = LocalBackend(source, options, workers=workers, folder=folder)
        records = source.records()
        splits.refuse_one_class(records)
        if exclusive:
            records = exclusive_classes.one_class_each(records, source)
        elif asked is None and exclusive_classes.are_possible(records):
            _warn(
                f"every image has exactly one of the labels {', '.join(source.labels)}: if they "
                "are classes that exclude one another, prepare with --exclusive."
            )
        records, examined, skipped, left_out = _examine(
            backend, records, strict, max_skipped=max_skipped
        )
        assignment = _assign_splits(records, examined, keep_validation, max_alike=max_alike)
        assignment, labels, classes = _learnable(assignment, source, exclusive)
        originals = [record for split in assignment.splits.values() for record in split]
        originals += [record for record, _ in (*skipped, *left_out)]
        stored = _stored(originals, source.identifying, salt)
        if names_file:
            pseudonym.write_names(Path(names_file), stored, originals)
        elif source.identifying:
            _warn(
                "names and patients of DICOM files are replaced by hashes: without --names_file "
                "results cannot be joined with other data of these patients later."
            )
        builder = functools.partial(
            dataset.Radiographs, folder, labels, classes, exclusive=exclusive
        )
        _build(backend, builder, assignment=assignment, stored=stored)
        summary = {
            "source": pseudonym.source_name(source),
            "synthetic": source.synthetic,
            **settings,
        }
        summary |= {"labels": list(labels), "classes": list(classes)}
        if exclusive:
            summary["exclusive"] = True
        if source.columns:
            summary["columns"] = list(source.columns)
        if source.reading:
            summary["reading"] = source.reading.as_json(with_paths=not source.identifying)
        if (notes := getattr(source, "notes", ())) and not source.identifying:
            summary["notes"] = list(notes)
        summary["copies"] = len(examined) - len({file.digest for file in examined})
        summary |= data_summary.listed_files(assignment, skipped, left_out, stored=stored)
        summary |= _checked(folder, labels, assignment, stored=stored, columns=source.columns)
        summary = summary_file.with_fingerprint(summary)
        building.publish(summary_file.directory(folder), summary_file.directory(out))
        summary_file.write(out, summary)
    return summary


def _examine(
    backend: Backend, records: Sequence[sources.ImageRecord], strict: bool, *, max_skipped: float
) -> tuple[
    list[sources.ImageRecord],
    list[ingest.ExaminedFile],
    skipped_files.Skipped,
    skipped_files.Skipped,
]:
    """Returns the usable records, their results without images, and the others with a reason.

    The latter are first those that cannot be used, then those that are left out by choice.
    """
    usable, results, skipped, left_out = [], [], [], []
    line, started = LiveLine(sys.stderr), time.monotonic()
    for done, (record, examined) in enumerate(
        zip(records, backend.examine(records), strict=True), start=1
    ):
        if examined.left_out:
            left_out.append((record, examined.reason))
        elif examined.reason:
            skipped.append((record, examined.reason))
            if len(skipped) <= MOST_SHOWN:
                line.settle(f"skipped {record.place or record.name}: {examined.reason}")
        else:
            usable.append(record)
            results.append(replace(examined, image=b""))
        skipped_files.check(
            skipped,
            done=done - len(left_out),
            total=len(records) - len(left_out),
            strict=strict,
            max_skipped=max_skipped,
        )
        seconds = time.monotonic() - started
        if seconds > RATE_SECONDS:
            left = clock(seconds * (len(records) - done) / done)
            line.show(f"{done:,} of {len(records):,} images, {done / seconds:,.0f}/s, {left} left")
    line.settle(f"examined {len(records):,} images in {clock(time.monotonic() - started)}")
    if left_out and not usable:
        raise UsageError(
            "\n".join(
                [
                    "no image of the source is used:",
                    *skipped_files.table([(r.place or r.name, why) for r, why in left_out]),
                ]
            )
        )
    return usable, results, skipped, left_out


def _assign_splits(
    records: Sequence[sources.ImageRecord],
    examined: Sequence[ingest.ExaminedFile],
    keep_validation: bool | None,
    *,
    max_alike: float,
) -> splits.SplitAssignment:
    fingerprints = [
        file.fingerprint
        for record, file in zip(records, examined, strict=True)
        if not record.patient
    ]
    guessed: set[str] = set()
    if fingerprints:
        known = {record.patient for record in records}
        example = next(r.place or r.name for r in records if not r.patient)
        groups = duplicates.near_groups(fingerprints)
        large_groups.check(records, groups, max_alike)
        records = splits.by_near_duplicates(records, groups)
        guessed = {record.patient for record in records} - known
        _warn(
            f"the patient of {len(fingerprints):,} images is not known, such as that of "
            f"{example}: near-duplicates are kept "
            "together, but other images of one patient may be in two splits. Give --patient_regex "
            "or --patient_column to prevent that."
        )
    [(patient, most)] = Counter(record.patient for record in records).most_common(1)
    if patient not in guessed and most / len(records) > MOST_OF_ONE and len(records) > MOST_SHOWN:
        _warn(
            f"one patient, {patient}, has {most:,} of {len(records):,} images: if that stands for "
            "nobody, give --patient_column=none or --patient_regex."
        )
    assignment = splits.assign(
        records,
        [file.digest for file in examined],
        keep_validation=keep_validation,
        guessed=guessed,
    )
    if assignment.conflicts:
        first = assignment.conflicts[0]["names"]
        _warn(
            f"{len(assignment.conflicts):,} sets of identical files have different labels, such as "
            f"{first[0]} and {first[1]}: data_summary.json lists them."
        )
    return assignment


def _learnable(
    assignment: splits.SplitAssignment, source: sources.Source, exclusive: bool
) -> tuple[splits.SplitAssignment, tuple[str, ...], tuple[str, ...]]:
    """Returns the assignment, labels and classes without the labels that train has no image of."""
    if len(source.labels) == 1:
        return assignment, source.labels, source.classes
    kept = learnable_labels.numbers(assignment, exclusive)
    if len(kept) == len(source.labels):
        return assignment, source.labels, source.classes
    labels = tuple(source.labels[number] for number in kept)
    gone = [label for label in source.labels if label not in labels]
    _warn(f"no image of train has {', '.join(gone)}: left out of the labels.")
    classes = (f"no {labels[0]}", labels[0]) if len(labels) == 1 else ()
    return learnable_labels.reduced(assignment, kept), labels, classes


def _stored(
    records: Sequence[sources.ImageRecord], identifying: bool, salt: str
) -> dict[str, sources.ImageRecord]:
    """Returns how each record is stored, by the name that its source has for it."""
    stored = pseudonym.all_pseudonymous(records, salt) if identifying else records
    return {record.name: new for record, new in zip(records, stored, strict=True)}


def _build(
    backend: Backend,
    builder: Callable[..., Any],
    *,
    assignment: splits.SplitAssignment,
    stored: dict[str, sources.ImageRecord],
) -> None:
    generate = {
        split: backend.examples(split, [(record, stored[record.name]) for record in records])
        for split, records in assignment.splits.items()
    }
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with redirect_stdout(io.StringIO()):  # it would announce downloads of unknown size
        builder(generate=generate).download_and_prepare(download_config=backend.download_config())


def _checked(
    folder: epath.Path,
    labels: Sequence[str],
    assignment: splits.SplitAssignment,
    *,
    stored: dict[str, sources.ImageRecord],
    columns: Sequence[str],
) -> dict:
    """Returns the counts and checksums of what was written, read from the shards.

    Names, patients, labels and kept columns are stored beside them on the way.
    """
    values = {record.name: record.columns for record in stored.values()}
    directory = summary_file.directory(folder)
    with staging.fetched(directory) as written:
        metadata = {
            split: dataset.read_metadata(written, split, len(labels))
            for split in summary_file.SPLITS
        }
        for place in dict.fromkeys((directory, written)):
            for split, content in metadata.items():
                dataset.write_metadata(place, split, content)
                if columns:
                    rows = [values[name] or ("",) * len(columns) for name in content.names]
                    kept = dict(zip(columns, zip(*rows, strict=True), strict=True))
                    columns_file.write_columns(place, split, kept)
        counts = dataset.contents(metadata, labels)
        for split, records in assignment.splits.items():
            assert counts[split]["images"] == len(records), f"{split} is incomplete"
        return {"splits": counts, "shards": dataset.shards(written)}


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
