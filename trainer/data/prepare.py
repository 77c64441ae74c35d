"""Prepares a data set: `python -m trainer.data.prepare --source=chest_xray.zip --out=DATA`.

Decodes and checks every image, groups by patient, and writes a tensorflow-datasets data set
with the splits train, validation and test, which `tfds.data_source("radiographs", data_dir=DATA)`
opens.
"""

import hashlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence

import tensorflow_datasets as tfds
from absl import flags
from etils import epath

from trainer import entry
from trainer.data import dataset, sources
from trainer.data.sources.record import NEGATIVE, POSITIVE, UNKNOWN
from trainer.entry import Refusal

VALIDATION_SHARE = 0.1
KNOWN = {"positive": POSITIVE, "negative": NEGATIVE, "unknown": UNKNOWN}
TEST_SHARE = 0.2  # of all patients, where a source has no test folder

_SOURCE = flags.DEFINE_string(
    "source", None, "a .zip archive, a folder of class folders, or phantom:N", required=True
)
_OUT = flags.DEFINE_string("out", None, "folder to write the prepared data set to", required=True)
_MAX_SIDE = flags.DEFINE_integer(
    "max_side", 512, "longest side kept, pixels", lower_bound=32, upper_bound=8192
)
_KEEP_VALIDATION = flags.DEFINE_bool(
    "keep_official_validation", False, "uses the source's own val/ instead of a tenth of train"
)


def prepare(
    source: sources.Source, out: epath.Path, max_side: int = 512, keep_validation: bool = False
) -> dict:
    """Writes the data set under `out` and returns its summary, or that of a finished one.

    The summary is written last and marks the data set as finished.

    Raises:
      Refusal: if `out` holds another data set, or the source cannot be split.
    """
    asked = {
        "fingerprint": source.fingerprint,
        "max_side": max_side,
        "keep_official_validation": keep_validation,
    }
    summary = dataset.read_summary(out)
    if summary:
        if {name: summary[name] for name in asked} != asked:
            raise Refusal(
                f"--out={out} already holds a data set made from {summary['source']} in another "
                "way: name another --out, or delete that folder."
            )
        return summary
    _remove_unfinished(out)
    splits = split_by_patient(list(source.records()), keep_validation)
    builder = dataset.Radiographs(out, source, splits, max_side)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder.download_and_prepare()
    (out / "downloads").rmtree(missing_ok=True)
    summary = {"source": source.name, "synthetic": source.synthetic, **asked}
    summary |= {"labels": source.labels, "classes": source.classes} | _counts(builder, source)
    dataset.write_summary(out, summary)
    return summary


def split_by_patient(
    records: Sequence[sources.Record], keep_validation: bool = False
) -> dict[str, list[sources.Record]]:
    """Divides records into train, validation and test so that no patient is in two of them.

    The source's test folder stays as it is; without one, a fifth of the patients become the test
    split. A tenth of the remaining patients become the validation split, chosen by a hash of the
    patient, so that adding images never moves anyone. A source's own val/ joins train unless
    `keep_validation`.

    Raises:
      Refusal: if a patient lies in two folders of the source, or a split would be empty.
    """
    has_test = any(r.split == "test" for r in records)
    splits = {split: [] for split in dataset.SPLITS}
    for record in records:
        splits[_split_of(record, has_test, keep_validation)].append(record)
    home: dict[str, str] = {}
    for split, part in splits.items():
        if not part:
            raise Refusal(f"the {split} split would be empty: the source has too few patients.")
        for record in part:
            if home.setdefault(record.patient, split) != split:
                raise Refusal(
                    f"patient {record.patient} is in both {home[record.patient]} and {split} "
                    f"({record.name}): move all images of a patient into one folder."
                )
    return splits


def _split_of(record: sources.Record, has_test: bool, keep_validation: bool) -> str:
    if record.split == "test":
        return "test"
    if not has_test and _share("test", record.patient) < TEST_SHARE:
        return "test"
    if keep_validation:
        return "validation" if record.split == "val" else "train"
    return "validation" if _share("validation", record.patient) < VALIDATION_SHARE else "train"


def _share(purpose: str, patient: str) -> float:
    """Returns a number in [0, 1) that depends on the purpose and the patient alone."""
    digest = hashlib.sha256(f"{purpose}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _counts(builder: dataset.Radiographs, source: sources.Source) -> dict:
    splits = {}
    for split in dataset.SPLITS:
        records = [r for s, r in builder.written if s == split]
        per_label = {}
        for number, label in enumerate(source.labels):
            known = Counter(r.labels[number] for r in records)
            per_label[label] = {name: known[value] for name, value in KNOWN.items()}
        splits[split] = {
            "images": len(records),
            "patients": len({r.patient for r in records}),
            "per_label": per_label,
        }
    skipped = [{"split": s, "name": n, "reason": why} for s, n, why in builder.skipped]
    return {"splits": splits, "skipped": skipped}


def _remove_unfinished(out: epath.Path) -> None:
    folder = dataset.directory(out)
    leftovers = list(folder.parent.glob("*incomplete*")) if folder.parent.exists() else []
    for path in [*leftovers, *([folder] if folder.exists() else [])]:
        logging.info("removing what an interrupted preparation left: %s", path)
        path.rmtree()


def describe(summary: dict) -> str:
    """Returns the summary as a table for the terminal."""
    names = summary["classes"][1:] or summary["labels"]
    lines = ["split       patients   images " + "".join(f"{name:>12}" for name in names)]
    for split, counts in summary["splits"].items():
        positive = "".join(f"{counts['per_label'][name]['positive']:>12,}" for name in names)
        lines.append(f"{split:<10} {counts['patients']:>9,}{counts['images']:>9,} {positive}")
    lines += [f"skipped {item['name']}: {item['reason']}" for item in summary["skipped"][:20]]
    if len(summary["skipped"]) > 20:
        lines.append(f"... and {len(summary['skipped']) - 20} more in data_summary.json")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    """Prepares what the flags name and prints the summary."""
    del argv
    out = epath.Path(_OUT.value)
    finished = dataset.read_summary(out) is not None
    summary = prepare(
        sources.open_source(_SOURCE.value), out, _MAX_SIDE.value, _KEEP_VALIDATION.value
    )
    print(describe(summary))
    print(f"{'already prepared' if finished else 'prepared'}: {dataset.directory(out)}")


if __name__ == "__main__":
    entry.run(main)
