"""Digests in the summary of a data set: of the data, and of the summary itself."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "summary_sha256"  # of everything else in the summary


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


def digest(content: Any) -> str:
    """Returns the SHA-256 of what JSON holds but for a digest, whatever its layout."""
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
