"""Writes a network in each format, reads it back, and compares that with the runs."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from etils import epath, epy

from trainer.data import data_split, pipeline
from trainer.export import encodings, parity
from trainer.export.formats import FILES, GROUPS
from trainer.export.metadata import input_names
from trainer.export.parity import Files, Parity
from trainer.export.plain_network import float32_network, plain_network
from trainer.export.serving_graph import ServingGraph
from trainer.judge.ensemble import Ensemble
from trainer.system import tensorflow_import

with epy.lazy_imports():  # the extra [export]
    from trainer.export import litert, onnx_model

CALIBRATING = 200  # training images


@dataclass(frozen=True)
class Job:
    """What is exported, and what that takes.

    Attributes:
      ensemble: the runs.
      folder: where the files are written.
      files: of validation.
      data: the prepared data set.
    """

    ensemble: Ensemble
    folder: epath.Path
    files: Files
    data: epath.Path

    @cached_property
    def full_graph(self) -> ServingGraph:
        """The graph of the networks in float32, whatever they were trained in."""
        members = tuple(
            dataclasses.replace(member, model=float32_network(member))
            for member in self.ensemble.members
        )
        return ServingGraph(dataclasses.replace(self.ensemble, members=members))

    def training_images(self) -> list[np.ndarray]:
        """Returns training images fitted to each of the squares, [n, S, S, 1] uint8."""
        split = data_split.open_split(self.data, "train")
        order = np.random.default_rng(self.ensemble.members[0].config.seed).permutation(split.size)
        return [
            pipeline.read_images(split, order[:CALIBRATING], fit.image_size, fit_mode=fit.mode)
            for fit in self.ensemble.fits
        ]

    def compare_numbers(self, run: Callable[..., dict[str, np.ndarray]], name: str) -> Parity:
        """Compares a function of fitted images, by the names of its inputs, with the runs."""
        names = input_names(len(self.ensemble.fits))

        def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
            images = (square[part] for square in self.files.fitted)
            probability = run(**dict(zip(names, images, strict=True)))["probability"]
            return probability, _decisions(self.ensemble, probability)

        return parity.compare(self.files, answer, megabytes=_megabytes(self.folder / FILES[name]))


def write_saved_model(job: Job, name: str) -> Parity:
    """Writes a SavedModel in TensorFlow Serving's layout, which begins at the bytes of files."""
    path = job.folder / FILES[name]
    graph = ServingGraph(job.ensemble)
    tf.saved_model.save(graph, str(path), signatures=graph.signatures())
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]

    def run(contents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        found = serve(image_bytes=tf.constant(contents))
        return found["probability"].numpy(), found["decision"].numpy()

    def are_answered(contents: list[bytes]) -> list[bool]:
        try:
            run(contents)
        except tf.errors.InvalidArgumentError:  # of one of them
            ones = [[content] for content in contents]
            return [False] if len(contents) == 1 else [are_answered(one)[0] for one in ones]
        return [True] * len(contents)

    parts = parity.parts(len(job.files.contents))
    answered = np.concatenate([are_answered(job.files.contents[part]) for part in parts])
    files = job.files.only(answered)
    row = parity.compare(
        files,
        lambda part: run(files.contents[part]),
        megabytes=_megabytes(path),
        refused=int(np.sum(~answered)),
    )
    alike = encodings.compare(job.ensemble, files, lambda contents: run(contents)[0])
    return dataclasses.replace(row, encodings=alike)


def write_keras(job: Job, name: str) -> Parity:
    """Writes a Keras model of the network alone."""
    file = job.folder / FILES[name]
    plain_network(job.ensemble).save(str(file))
    loaded = keras.models.load_model(str(file))

    def answer(part: slice) -> tuple[np.ndarray, np.ndarray]:
        fitted = [square[part].astype(np.float32) for square in job.files.fitted]
        probability = loaded(fitted[0] if len(fitted) == 1 else fitted, training=False).numpy()
        return probability, _decisions(job.ensemble, probability)

    return parity.compare(job.files, answer, megabytes=_megabytes(file))


def write_litert(job: Job, name: str) -> Parity:
    """Writes a LiteRT model of fitted images."""
    images = job.training_images() if name == litert.INT8 else []
    file = job.folder / FILES[name]
    with tensorflow_import.without_noise():
        file.write_bytes(litert.convert(job.full_graph, name, images))
        return job.compare_numbers(litert.load(file), name)


def write_onnx(job: Job, name: str) -> Parity:
    """Writes an ONNX model of fitted images."""
    file = job.folder / FILES[name]
    with tensorflow_import.without_noise():
        file.write_bytes(onnx_model.convert(job.full_graph))
    return job.compare_numbers(onnx_model.load(file), name)


WRITERS: dict[str, Callable[[Job, str], Parity]] = {
    "saved_model": write_saved_model,
    "keras": write_keras,
    **dict.fromkeys(GROUPS["litert"], write_litert),
    "onnx": write_onnx,
}


def _decisions(ensemble: Ensemble, probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12)
    return ensemble.decisions(np.log(clipped / (1 - clipped)))


def _megabytes(path: epath.Path) -> float:
    files = [Path(path)] if path.is_file() else Path(path).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
