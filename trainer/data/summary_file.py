"""Where a prepared data set lies, and its summary with the digests in it: without TensorFlow."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from trainer.system import atomic, json_files
from trainer.system.errors import UsageError

NAME = "radiographs"
VERSION = "2.0.0"
SPLITS = ("train", "validation", "test")
SUMMARY = "data_summary.json"
DIGEST = "summary_sha256"  # of everything else in the summary

# What a data set was made from, and how.
RECIPE = (
    *("fingerprint", "max_side", "keep_official_validation", "any_view", "uniform"),
    *("labels", "classes", "exclusive", "splits"),
)


def directory(path: epath.PathLike) -> epath.Path:
    """Returns the folder that `tfds.builder_from_directory` opens, inside a prepared set."""
    return epath.Path(path) / NAME / VERSION


def root(path: epath.PathLike) -> epath.Path:
    """Returns the folder of a prepared set that `path` is or lies in, such as `directory(path)`."""
    path = epath.Path(path)
    if path.name == VERSION and path.parent.name == NAME:
        path = path.parent
    return path.parent if path.name == NAME and (path.parent / SUMMARY).exists() else path


def read(path: epath.PathLike) -> dict | None:
    """Returns the summary of the finished data set under `path`, or None.

    One from before there was a `dataset_fingerprint` gets it here. The counts in it decide the
    weights of classes: a digest shows whether it is as it was written, except in older sets.

    Raises:
      UsageError: if it cannot be read, or is not as it was written.
    """
    file = epath.Path(path) / SUMMARY
    if not file.exists():
        return None
    try:
        summary = dict(json.loads(file.read_text()))
        found = digest(summary)
        if summary.get(DIGEST, found) != found:
            raise ValueError("its content is not what its digest says")
        return with_fingerprint(summary)
    except json_files.DAMAGE as error:
        raise UsageError(
            f"{file} is damaged ({error!r}): prepare the data set again into another folder, or "
            "delete this one."
        ) from error


def require(path: epath.PathLike, flag: str = "config.data.path") -> dict:
    """Returns the summary of the finished data set that `path` is or lies in.

    Args:
      path: as the user names it.
      flag: that names it.

    Raises:
      UsageError: if there is none, or its summary cannot be read.
    """
    if not path:
        raise UsageError(f"--{flag} is missing: give the --out of radiograph prepare.")
    if summary := read(root(path)):
        return summary
    raise UsageError(
        f"--{flag}={path} holds no prepared data set: make one with "
        f"radiograph prepare --source=SOURCE --out=DATA and give --{flag}=DATA."
    )


def write(path: epath.PathLike, summary: dict) -> None:
    """Writes the summary with its digest, which marks the data set under `path` as finished."""
    atomic.write_json(epath.Path(path) / SUMMARY, {**summary, DIGEST: digest(summary)})


def with_fingerprint(summary: Mapping[str, Any]) -> dict:
    """Returns a summary with the `dataset_fingerprint` of its content, unless it has that already.

    It is the SHA-256 of labels, splits and the checksums of the shards, and of whether the labels
    exclude one another, whatever the path of the data set; `fingerprint` is that of the source, and
    the same for another `max_side`.

    Args:
      summary: with labels, splits and shards.
    """
    if "dataset_fingerprint" in summary:
        return dict(summary)
    shards = {
        shard["file"]: shard["sha256"]
        for shard in summary["shards"]
        if ".array_record" in shard["file"]  # the others describe them
    }
    content = [summary["labels"], summary["splits"], shards]
    if summary.get("exclusive"):  # so that older data sets keep their fingerprints
        content.append({"exclusive": True})
    return {**summary, "dataset_fingerprint": digest(content)}


def is_same(saved: Mapping[str, Any], summary: Mapping[str, Any]) -> bool:
    """Returns whether two summaries are of one data set, wherever it lies.

    Args:
      saved: the content of a run's data_summary.json. Where a version without fingerprints wrote
        it, data that were made from the same files in the same way are the same.
      summary: of the data set now.
    """
    identity = ("dataset_fingerprint",) if "dataset_fingerprint" in saved else RECIPE
    return all(saved.get(name) == summary.get(name) for name in identity)


def digest(content: Any) -> str:
    """Returns the SHA-256 of what JSON holds but for a digest, whatever its layout."""
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
