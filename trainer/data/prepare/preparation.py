"""Prepares a data set: examines every image, divides by patient, encodes, and writes."""

import io
import os
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace

from etils import epath, epy

from trainer.data import duplicates, sources, staging
from trainer.data.prepare import data_summary, ingest, skipped_files, splits
from trainer.data.prepare.beam import Beam
from trainer.data.prepare.build_folder import build_folder
from trainer.data.prepare.builder import Local
from trainer.data.sources import pseudonym
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine, clock

with epy.lazy_imports():  # TensorFlow, which the processes that decode do without
    import tensorflow_datasets as tfds

    from trainer.data import dataset

SETTLED = 3.0  # seconds until the rate says something
SHOWN = 20  # skipped files, each with a line in the terminal


def prepare(
    source: sources.Source,
    out: epath.Path,
    *,
    max_side: int = 512,
    keep_validation: bool | None = None,
    any_view: bool = False,
    uniform: bool = False,
    salt: str = "",
    strict: bool = False,
    max_skipped: float = 0.01,
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
      salt: of the hashes that stand for names and patients of an identifying source; "" draws one
        that nobody learns.
      strict: whether the first file that cannot be used ends it.
      max_skipped: share of the files that may be skipped.
      workers: processes that decode; 0 for as many as there are cores.
      runner: name of the Apache Beam runner that does the work; "" for this machine.
      beam_options: the runner's own options, as in "region=europe-west4".

    Raises:
      UsageError: if `out` holds another data set or files of another kind, too many files cannot be
        used, or the source cannot be split.
      CannotWrite: if `out` cannot be written.
    """
    asked = {
        "fingerprint": source.fingerprint,
        "max_side": max_side,
        "keep_official_validation": keep_validation,
        "any_view": any_view,
        "uniform": uniform,
    }
    summary = dataset.read_summary(out)
    if summary:
        if {name: summary.get(name) for name in asked} != asked:
            raise UsageError(
                f"--out={out} already holds a data set made from {summary['source']} in another "
                "way: name another --out, or delete that folder."
            )
        return summary
    recipe = ingest.DecodeOptions(max_side, any_view, uniform)
    with staging.writable(out), build_folder(out, in_bucket=bool(runner)) as building:
        folder = building.path
        if runner:
            means = Beam(source, recipe, runner, beam_options, folder / "beam")
        else:
            means = Local(source, recipe, workers or len(os.sched_getaffinity(0)), folder)
        records, found, skipped = _examine(means, source, strict, max_skipped)
        division = _divide(records, found, keep_validation)
        divided = [record for part in division.splits.values() for record in part]
        stored = _stored([*divided, *(r for r, _ in skipped)], source.identifying, salt)
        _build(means, folder, source, division, stored)
        summary = {"source": source.name, "synthetic": source.synthetic, **asked}
        summary |= {"labels": list(source.labels), "classes": list(source.classes)}
        summary |= data_summary.told(division, skipped, stored) | _checked(folder, source, division)
        building.publish(dataset.directory(folder), dataset.directory(out))
        dataset.write_summary(out, summary)
    return summary


def _examine(
    means: Local | Beam, source: sources.Source, strict: bool, max_skipped: float
) -> tuple[list[sources.ImageRecord], list[ingest.Examined], skipped_files.Skipped]:
    """Returns the usable records with what was found of them, and the others with the reason."""
    records = source.records()
    usable, found, skipped = [], [], []
    line, started = LiveLine(sys.stderr), time.monotonic()
    for done, (record, examined) in enumerate(
        zip(records, means.examine(records), strict=True), start=1
    ):
        if examined.reason:
            skipped.append((record, examined.reason))
            if len(skipped) <= SHOWN:
                line.settle(f"skipped {record.place or record.name}: {examined.reason}")
        else:
            usable.append(record)
            found.append(replace(examined, image=b""))
        skipped_files.check(skipped, done, len(records), strict, max_skipped)
        seconds = time.monotonic() - started
        if seconds > SETTLED:
            left = clock(seconds * (len(records) - done) / done)
            line.show(f"{done:,} of {len(records):,} images, {done / seconds:,.0f}/s, {left} left")
    line.settle(f"examined {len(records):,} images in {clock(time.monotonic() - started)}")
    return usable, found, skipped


def _divide(
    records: Sequence[sources.ImageRecord],
    found: Sequence[ingest.Examined],
    keep_validation: bool | None,
) -> splits.Division:
    prints = [f.fingerprint for r, f in zip(records, found, strict=True) if not r.patient]
    guessed: set[str] = set()
    if prints:
        known = {record.patient for record in records}
        records = splits.by_near_duplicates(records, duplicates.near_groups(prints))
        guessed = {record.patient for record in records} - known
        _warn(
            f"nothing tells the patient of {len(prints):,} images: near-duplicates are kept "
            "together, and other images of one patient may be in two splits. --patient_regex or "
            "--patient_column would tell."
        )
    division = splits.divide(records, [f.digest for f in found], keep_validation, guessed)
    if division.conflicts:
        first = division.conflicts[0]["names"]
        _warn(
            f"{len(division.conflicts):,} sets of identical files have different labels, such as "
            f"{first[0]} and {first[1]}: data_summary.json lists them."
        )
    return division


def _stored(
    records: Sequence[sources.ImageRecord], identifying: bool, salt: str
) -> dict[str, sources.ImageRecord]:
    """Returns how each record is stored, by the name that its source has for it."""
    stored = pseudonym.all_pseudonymous(records, salt) if identifying else records
    return {record.name: of for record, of in zip(records, stored, strict=True)}


def _build(
    means: Local | Beam,
    folder: epath.Path,
    source: sources.Source,
    division: splits.Division,
    stored: dict[str, sources.ImageRecord],
) -> None:
    generate = {
        split: means.examples(split, [(record, stored[record.name]) for record in part])
        for split, part in division.splits.items()
    }
    builder = dataset.Radiographs(folder, source.labels, source.classes, generate)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with redirect_stdout(io.StringIO()):  # it would tell of downloads of unknown size
        builder.download_and_prepare(download_config=means.download_config())


def _checked(folder: epath.Path, source: sources.Source, division: splits.Division) -> dict:
    """Returns the counts and checksums of what was written, read from the shards."""
    with staging.fetched(dataset.directory(folder)) as written:
        counts = dataset.contents(written, source.labels)
        for split, part in division.splits.items():
            assert counts[split]["images"] == len(part), f"{split} is not whole"
        return {"splits": counts, "shards": dataset.shards(written)}


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
