"""The weights that a network begins with: those of ImageNet, of another run, or of a file."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from etils import epath
from keras import layers
from ml_collections import ConfigDict

from trainer import models
from trainer.models import applications, replicable
from trainer.system.errors import Unavailable, UsageError
from trainer.training import pretrained
from trainer.training.run_files import initial_run
from trainer.training.trained_model import TrainedModel

Named = dict[str, np.ndarray]


def load(model: keras.Model, config: ConfigDict, labels: list[str]) -> None:
    """Gives a new network the weights that `model.weights` names.

    Its last layer, the head, keeps its own where those are of other labels or of another number.

    Args:
      model: the network, whose variables are changed.
      config: of its run.
      labels: that it is to predict.

    Raises:
      UsageError: they cannot be read, or are of another network.
      Unavailable: those of ImageNet cannot be downloaded.
    """
    source = epath.Path(config.model.weights)
    if config.model.weights == "imagenet":
        found = _imagenet(config)
    elif (source / "config.json").exists():
        found = _of_run(source, model, config, labels)
    else:
        found = _of_file(source, model, config)
    new = {id(weight) for weight in replicable.head(model).weights}
    for weight in model.weights:
        value = found.get(weight.path)
        if value is not None and value.shape == tuple(weight.shape):
            weight.assign(value)
        elif id(weight) not in new:
            there = "has none" if value is None else f"has one of shape {list(value.shape)}"
            raise _of_another(config, f"for {weight.path} {list(weight.shape)} it {there}")


def load_backbone(
    model: keras.Model, config: ConfigDict, *, source: epath.PathLike | None = None
) -> None:
    """Gives a new siamese network the weights of `model.weights`, but for what replaces the head.

    Args:
      model: the network, whose variables are changed.
      config: of its run.
      source: the file of one's own network, see `models.build`.
    """
    plain = models.build(config.model, config.data.image_size, source=source)
    load(plain, config, [])
    found = _named(plain)
    for weight in model.weights:
        if weight.path in found:
            weight.assign(found[weight.path])


def _imagenet(config: ConfigDict) -> Named:
    try:
        with replicable.fresh_names():
            backbone = applications.backbone(config.model.name, config.data.image_size)
    except Exception as error:  # Keras raises an Exception that names the address
        raise Unavailable(
            "model.weights=imagenet cannot be downloaded by Keras "
            f"({' '.join(str(error).split())[:160]}): start on a machine with a network, copy its "
            "~/.keras/models to this one, or name a file."
        ) from error
    return _named(backbone)


def _of_run(run: epath.Path, model: keras.Model, config: ConfigDict, labels: list[str]) -> Named:
    if initial_run(run).is_pretraining:
        found = pretrained.weights(run)
        _check_number(len(found), [0], model, config)
        return found
    trained = TrainedModel.load(run)
    found = _matched(trained.model, model, config)
    if trained.labels != labels:
        for weight in replicable.head(model).weights:
            found.pop(weight.path, None)
    return found


def _of_file(file: epath.Path, model: keras.Model, config: ConfigDict) -> Named:
    try:
        if (file.parent / f"{file.name}.index").exists():
            return _of_checkpoint(file, model, config)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / file.name
            local.write_bytes(file.read_bytes())
            if file.suffix == ".keras":
                saved = keras.models.load_model(str(local), compile=False)
                return _matched(saved, model, config)
            return _of_weights(local, model, config)
    except (OSError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise UsageError(
            f"model.weights={file} cannot be read ({' '.join(str(error).split())[:160]}): give "
            "imagenet, a run's folder, a .weights.h5 or .keras file, or a TensorFlow checkpoint."
        ) from error


def _of_weights(file: Path, model: keras.Model, config: ConfigDict) -> Named:
    """Returns the weights of a .weights.h5, with or without those of a head that fits."""
    twin = replicable.copied(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Keras keeps beside the layers
        try:
            twin.load_weights(str(file))
        except ValueError:
            twin.load_weights(str(file), objects_to_skip=[replicable.head(twin)])
        own = file.with_name("own.weights.h5")
        twin.save_weights(str(own))
    if (found := _saved_layers(file)) > (wanted := _saved_layers(own)):
        counted = f"it has {found} layers with weights, where this one has {wanted}"
        raise _of_another(config, counted)
    return _named(twin)


def _saved_layers(file: Path) -> int:
    """Returns how many layers of a .weights.h5 have weights; 0 of an older format.

    Keras itself passes over those that a model lacks, as the last ones of a deeper network.
    """
    found = set()

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        # What draws of dropout go on from is of whole numbers.
        if isinstance(node, h5py.Dataset) and np.issubdtype(node.dtype, np.floating):
            found.add(name.rpartition("/vars/")[0])

    with h5py.File(file) as opened:
        if "layers" in opened:
            opened["layers"].visititems(visit)
    return len(found)


def _of_checkpoint(prefix: epath.Path, model: keras.Model, config: ConfigDict) -> Named:
    """Returns the variables of a checkpoint under names such as model/conv1/kernel."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = sorted(reader.get_variable_to_shape_map())  # averaged/... before model/...
    averaged = any(name.startswith("averaged/") for name in names)
    group = "averaged/" if averaged else "model/"
    found = {n.removeprefix(group): reader.get_tensor(n) for n in names if n.startswith(group)}
    found = pretrained.of_backbone(found)
    head = {weight.path for weight in replicable.head(model).weights}
    # What draws of dropout go on from is of whole numbers.
    weights = {name for name, value in found.items() if np.issubdtype(value.dtype, np.floating)}
    more = weights - {weight.path for weight in model.weights}
    if len(more) > (0 if head <= weights else len(head)):  # which may have another name there
        raise _of_another(config, f"it has more weights, as {min(more)}")
    return found


def _matched(source: keras.Model, model: keras.Model, config: ConfigDict) -> Named:
    """Returns a model's weights by the names of another's: the same ones, else in their order."""
    found, wanted = _named(source), [weight.path for weight in model.weights]
    _check_number(len(found), [0, len(replicable.head(source).weights)], model, config)
    if found.keys() >= {*wanted[: -len(replicable.head(model).weights)]}:
        return found
    return dict(zip(wanted, found.values(), strict=False))


def _check_number(found: int, heads: list[int], model: keras.Model, config: ConfigDict) -> None:
    """Raises a UsageError unless there are as many weights as a model has, and those of a head.

    More are of a deeper network, whose first layers may fit.
    """
    wanted = len(model.weights) - len(replicable.head(model).weights)
    if all(found - head != wanted for head in heads):
        counted = f"it has {found} weights of layers, where this one has {wanted} and a head"
        raise _of_another(config, counted)


def _of_another(config: ConfigDict, difference: str) -> UsageError:
    return UsageError(
        f"model.weights={config.model.weights} is of another network than model.name="
        f"{config.model.name}: {difference}; give weights of the same network."
    )


def _named(model: keras.Model) -> Named:
    return {w.path: w.numpy() for layer in _layers(model) for w in layer.weights}


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers of a model and of those inside, but for constants of its input."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        elif not isinstance(layer, layers.Normalization):
            yield layer
