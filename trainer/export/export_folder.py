"""The folder of an export: the networks, what they need to be used, and its checksums."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import dataset, pipeline
from trainer.export import conformal_table, destination, metadata, parity
from trainer.export.conformal_table import ConformalTable
from trainer.export.destination import CHECKSUMS
from trainer.export.exported import SAVED_MODEL
from trainer.export.parity import Files, Parity
from trainer.export.plain_network import plain_network
from trainer.export.serving_graph import ServingGraph
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import FILE as GATE
from trainer.report import model_card
from trainer.system import atomic
from trainer.system.errors import UsageError

MOST_IMAGES = 500  # that are compared
PARITY = "parity.json"


def export(
    ensemble: Ensemble, formats: Sequence[str], out: epath.Path, *, data: epath.PathLike
) -> dict[str, Parity]:
    """Writes the runs as one network for other programs, if that says what they say.

    Args:
      ensemble: the runs.
      formats: among `trainer.export.formats.FORMATS`.
      out: new or empty folder, which also may be gs://; it is there whole or not at all, in a
        bucket with `checksums.json` last.
      data: prepared data set, whose validation images are compared.

    Returns:
      how each format differs from `radiograph predict`.

    Raises:
      UsageError: the runs cannot be exported, or `out` is not empty.
      NotAlike: a format says something else; nothing is written.
    """
    _check(ensemble, formats, out)
    files = _validation_files(ensemble, data)
    with destination.built_beside(out) as folder:
        rows = {name: _WRITERS[name](ensemble, folder, files) for name in formats}
        for name, row in rows.items():
            row.check(name)
        atomic.write_json(folder / PARITY, {name: row.as_dict() for name, row in rows.items()})
        _write_description(ensemble, folder, rows)
        atomic.write_json(folder / CHECKSUMS, _checksums(folder))
    return rows


def _check(ensemble: Ensemble, formats: Sequence[str], out: epath.Path) -> None:
    """Raises a UsageError for what cannot be exported."""
    destination.check(out)
    if ensemble.decoding.uniform:
        raise UsageError(
            f"the data of {ensemble.workdirs[0]} were prepared with --uniform, whose blur and JPEG "
            "an exported graph does not repeat yet: use radiograph predict."
        )
    if "keras" in formats and len(ensemble.members) > 1:
        raise UsageError("--format=keras takes a single run: export several as saved_model.")


def _validation_files(ensemble: Ensemble, data: epath.PathLike) -> Files:
    """Returns validation images as they are stored, with what the runs predict."""
    split = pipeline.open_split(data, "validation")
    if split.labels != ensemble.labels:
        raise UsageError(
            f"--data={data} has the labels {', '.join(split.labels)}, the run "
            f"{', '.join(ensemble.labels)}: give the data set that it was trained on."
        )
    numbers = np.arange(min(split.size, MOST_IMAGES))
    features = dataset.stored_features(len(split.labels))
    parsed = tf.io.parse_example(split.read(numbers), features)
    return Files.predict(ensemble, list(parsed["image"].numpy()), parsed["labels"].numpy())


def _write_description(ensemble: Ensemble, folder: epath.Path, rows: dict[str, Parity]) -> None:
    """Writes what is needed to use the network: metadata, gate, conformal sets and card."""
    validation = ensemble.validation_scores()
    table = None if validation is None else ConformalTable.calibrate(validation)
    if table is not None:
        atomic.write_json(folder / conformal_table.FILE, table.as_dict())
    gate = ensemble.workdirs[0] / GATE
    if gate.exists():
        (folder / GATE).write_bytes(gate.read_bytes())
    atomic.write_json(folder / metadata.FILE, metadata.metadata(ensemble, table))
    atomic.write_text(folder / model_card.CARD, metadata.card(ensemble, rows))


def _write_saved_model(ensemble: Ensemble, folder: epath.Path, files: Files) -> Parity:
    """Writes a SavedModel in TensorFlow Serving's layout, and compares it as it is read back."""
    path = str(folder / SAVED_MODEL)
    graph = ServingGraph(ensemble)
    tf.saved_model.save(graph, path, signatures=graph.signatures())
    serve = tf.saved_model.load(path).signatures["serving_default"]

    def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
        found = serve(image_bytes=tf.constant(files.contents[part]))
        return found["probability"].numpy(), found["decision"].numpy()

    return parity.compare(files, answer, megabytes=_megabytes(folder / "saved_model"))


def _write_keras(ensemble: Ensemble, folder: epath.Path, files: Files) -> Parity:
    """Writes a Keras model of the network alone, and compares it as it is read back."""
    file = str(folder / "model.keras")
    plain_network(ensemble.members[0]).save(file)
    loaded = keras.models.load_model(file)

    def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
        probability = loaded(files.fitted[0][part].astype(np.float32), training=False).numpy()
        clipped = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12)
        return probability, ensemble.decisions(np.log(clipped / (1 - clipped)))

    return parity.compare(files, answer, megabytes=_megabytes(folder / "model.keras"))


_WRITERS: dict[str, Callable[[Ensemble, epath.Path, Files], Parity]] = {
    "saved_model": _write_saved_model,
    "keras": _write_keras,
}


def _checksums(folder: epath.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file by its path in the folder."""
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): dataset.checksum(epath.Path(file)) for file in files
    }


def _megabytes(path: epath.Path) -> float:
    files = [Path(path)] if path.is_file() else Path(path).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
