"""A prepared data set as a trained network's labels describe it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from trainer.data import data_split, examples, staging, summary_file
from trainer.data.prepare.ingest import DecodeOptions
from trainer.data.prepared_data import PreparedData
from trainer.data.sources import label_map
from trainer.data.sources.class_names import spelling
from trainer.judge.ensemble import Ensemble
from trainer.metrics.outputs import IndependentLabels
from trainer.system.errors import DataLost, UsageError

UNKNOWN = -1


@dataclass(frozen=True)
class JudgedData:
    """The n images of a prepared data set for which a label of the network is known.

    Attributes:
      path: as the user names it.
      summary: the content of its data_summary.json.
      split: their records as if they were one split, with the labels of the set; everything else
        has its order.
      splits: names of the splits that they lie in.
      in_split: [n] int, the place in `splits` of that of each image.
      names: [n] of the images.
      patients: [n] of the images.
      values: [n, K] float32: 1, 0, or -1 where it is not known, of the network's labels.
      classes: the two class names, if they are those of the network; else none.
      columns: what was kept of each image beside its labels, each [n] str, "" is not known.
      missing: labels of the network that the set does not have.
      left_out: images for which no label of the network is known.
    """

    path: epath.Path
    summary: Mapping[str, Any]
    split: data_split.Split
    splits: list[str]
    in_split: np.ndarray
    names: list[str]
    patients: list[str]
    values: np.ndarray
    classes: list[str]
    columns: dict[str, np.ndarray]
    missing: list[str]
    left_out: int

    @property
    def fingerprint(self) -> str:
        """The identity of the data set."""
        return self.summary["dataset_fingerprint"]

    def as_prepared(self) -> PreparedData:
        """Returns the data set as what reads it knows it, with its one split."""
        return PreparedData(self.path, dict(self.summary), {self.split.name: self.split})

    def lie_in(self, names: Sequence[str]) -> np.ndarray:
        """Returns which images lie in one of these splits, [n] bool."""
        return np.array([name in names for name in self.splits])[self.in_split]


def open_judged(
    path: epath.PathLike, network: Ensemble, *, split: str | None = None, map_labels: str = ""
) -> JudgedData:
    """Opens a prepared data set for a network.

    Args:
      path: of the data set.
      network: whose labels are looked for.
      split: the one that is judged; by default all, and `test` of the set it was trained on.
      map_labels: other names for the set's labels, as `radiograph prepare` takes them.

    Raises:
      UsageError: there is no such data set or split, its images were decoded in another way, or it
        has no label of the network.
      DataLost: it cannot be read.
    """
    root = summary_file.root(path)
    local = staging.local(root)
    summary = summary_file.read(local)
    if summary is None:
        raise UsageError(
            f"--data={path} holds no prepared data set: make one with radiograph prepare "
            "--source=SOURCE --out=DATA and give --data=DATA."
        )
    if not summary["labels"]:
        raise UsageError(
            f"--data={path} is unlabelled, so that nothing can be judged: give its files to "
            "radiograph predict."
        )
    _require_decoding(root, summary, network.decoding)
    own = summary["dataset_fingerprint"] in {
        member.data.get("dataset_fingerprint") for member in network.members
    }
    splits = _splits(root, summary, split or ("test" if own else None))
    opened = [data_split.open_split(local, name) for name in splits]
    records = [list(examples.read_metadata(each)) for each in opened]
    stored = np.array([r.labels for of_split in records for r in of_split], np.int64)
    stored = stored.reshape(-1, len(summary["labels"]))
    values, missing = _values(root, summary, stored, network=network, map_labels=map_labels)
    known = np.asarray((values >= 0).any(1))
    if not known.any():
        raise UsageError(
            f"no image of --data={path} ({', '.join(splits)}) has a known label of the network's "
            f"({', '.join(network.labels)}): give another --split or --map_labels=OLD=NEW."
        )
    kept = list(itertools.compress(itertools.chain(*records), known))
    in_split = np.repeat(np.arange(len(splits)), list(map(len, records)))[known]
    return JudgedData(
        root,
        summary,
        _joined(opened, in_split, np.array([record.number for record in kept])),
        splits,
        in_split,
        [record.name for record in kept],
        [record.patient for record in kept],
        values[known],
        network.classes if list(summary["classes"]) == network.classes else [],
        _columns(opened, known),
        missing,
        int((~known).sum()),
    )


def _require_decoding(
    path: epath.Path, summary: Mapping[str, Any], decoding: DecodeOptions
) -> None:
    """Raises a UsageError if images were decoded in another way than those of training."""
    for option in ("max_side", "uniform"):
        theirs, ours = summary[option], getattr(decoding, option)
        if theirs != ours:
            flags = f"--{option}={str(ours).lower()}"
            raise UsageError(
                f"--data={path} was prepared with {option}={theirs}, the network's own data with "
                f"{option}={ours}, so that their pixels differ: prepare it again with {flags}."
            )


def _splits(path: epath.Path, summary: Mapping[str, Any], split: str | None) -> list[str]:
    """Returns the names of the splits that are judged, of those that have images."""
    there = [name for name in summary_file.SPLITS if summary["splits"].get(name, {}).get("images")]
    if split and split not in there:
        raise UsageError(
            f"--split={split} is no split of --data={path} with images: give one of "
            f"{', '.join(there)}."
        )
    return [split] if split else there


def _values(
    path: epath.Path,
    summary: Mapping[str, Any],
    stored: np.ndarray,
    *,
    network: Ensemble,
    map_labels: str,
) -> tuple[np.ndarray, list[str]]:
    """Returns the network's labels of each record, [n, K] float32, and those that are missing."""
    names, classes = list(summary["labels"]), list(summary["classes"])
    if classes:  # one label: its absence is a class too
        names = classes
        stored = np.concatenate([np.where(stored < 0, UNKNOWN, 1 - stored), stored], axis=1)
    rows = list(map(tuple, stored.tolist()))
    new_names, new_rows = label_map.merged(names, rows, label_map.read_map(map_labels))
    columns = dict(zip(map(spelling, new_names), np.array(new_rows).T, strict=True))
    if network.classes and spelling(network.labels[0]) not in columns:
        absent = columns.get(spelling(network.classes[0]))
        if absent is not None:
            inverse = np.where(absent < 0, UNKNOWN, 1 - absent)
            columns[spelling(network.labels[0])] = inverse
    missing = [name for name in network.labels if spelling(name) not in columns]
    if len(missing) == len(network.labels):
        raise UsageError(
            f"--data={path} has the labels {', '.join(new_names)}, and the network "
            f"{', '.join(network.labels)}: give --map_labels={new_names[-1]}={network.labels[0]} "
            "or the like if they are the same under other names."
        )
    unknown = np.full(len(stored), UNKNOWN)
    values = np.stack([columns.get(spelling(name), unknown) for name in network.labels], axis=1)
    return _of_kind(values, network.outputs).astype(np.float32), missing


def _of_kind(values: np.ndarray, outputs: IndependentLabels) -> np.ndarray:
    """Returns the labels; of classes that exclude one another all or none is known."""
    if not outputs.exclusive:
        return values
    one = (values == 1).sum(1, keepdims=True) == 1
    return np.where(one, values == 1, UNKNOWN)


def _joined(
    splits: Sequence[data_split.Split], in_split: np.ndarray, numbers: np.ndarray
) -> data_split.Split:
    """Returns records of several splits as one.

    Args:
      splits: of one data set.
      in_split: [n] int, the place of the split of each record.
      numbers: [n] int, of the record there.
    """
    failures: list[DataLost] = []

    def read(places: np.ndarray) -> np.ndarray:
        found = np.empty(len(places), object)
        for number, split in enumerate(splits):
            there = in_split[places] == number
            try:
                if there.any():
                    found[there] = split.read(numbers[places[there]])
            except DataLost as error:
                failures.append(error)
                raise
        return found

    first = splits[0]
    name = first.name if len(splits) == 1 else "judged"
    return data_split.Split(
        name, len(numbers), first.labels, first.classes, [], read, failures, None, first.exclusive
    )


def _columns(splits: Sequence[data_split.Split], known: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the columns that all splits have, of the images that are judged."""
    kept = [examples.columns(split) for split in splits]
    common = [name for name in kept[0] if all(name in columns for columns in kept)]
    return {name: np.concatenate([columns[name] for columns in kept])[known] for name in common}
