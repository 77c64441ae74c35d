"""A network begins with the weights of ImageNet, a run or a file, and with a head that fits."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import models
from trainer.config.schema import default
from trainer.models import applications, replicable, siamese
from trainer.system.errors import Unavailable, UsageError
from trainer.training import initial_weights, run_checks
from trainer.training.trained_model import TrainedModel


def new(config: ConfigDict, outputs: int = 1) -> keras.Model:
    return models.build(config.model, 32, outputs)


def equal(one: keras.Model, other: keras.Model) -> dict[str, bool]:
    """Returns which weights of two networks are the same, by name; of another shape is not."""
    values = {w.path: w.numpy() for w in other.weights}
    return {w.path: np.array_equal(w.numpy(), values[w.path]) for w in one.weights}


def write_checkpoint(network: keras.Model, prefix: str):
    names = {f"model/{w.path}": w.value for w in network.variables}
    tf.train.Checkpoint().write(prefix)  # whose index is there before it is overwritten
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(names),
        shape_and_slices=[""] * len(names),
        tensors=[v.read_value() for v in names.values()],
    )


@pytest.fixture
def config() -> ConfigDict:
    config = default()
    config.model.width, config.model.stages = 4, 1
    return config


@pytest.mark.parametrize("kind", ["a.weights.h5", "a.keras", "checkpoint"])
def test_a_file_gives_the_weights_and_a_head_only_of_as_many_labels(
    kind: str, config: ConfigDict, tmp_path: Path
):
    before = new(config)
    for weight in before.weights:
        weight.assign(np.full(weight.shape, 0.5))
    file = str(tmp_path / kind)
    if kind == "a.weights.h5":
        before.save_weights(file)
    elif kind == "a.keras":
        before.save(file)
    else:
        write_checkpoint(before, file)
    config.model.weights = file
    run_checks._check_weights(config.model)
    same, other = new(config), new(config, 3)
    initial_weights.load(same, config, ["a"])
    assert all(equal(same, before).values())
    initial_weights.load(other, config, ["a", "b", "c"])
    assert [path for path, same in equal(other, before).items() if not same] == [
        "logits/kernel",
        "logits/bias",
    ]
    config.model.width = 8
    with pytest.raises(UsageError, match="another network|cannot be read"):
        initial_weights.load(new(config), config, ["a"])


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("kind", ["deeper.weights.h5", "deeper.keras", "deeper"])
def test_a_deeper_network_does_not_give_its_first_layers(
    kind: str, outputs: int, config: ConfigDict, tmp_path: Path
):
    config.model.stages, file = 2, str(tmp_path / kind)
    deeper = new(config, outputs)
    if kind == "deeper":
        write_checkpoint(deeper, file)
    else:
        deeper.save_weights(file) if kind.endswith(".h5") else deeper.save(file)
    config.model.stages, config.model.weights = 1, file
    with pytest.raises(
        UsageError,
        match=r"another network than model.name=resnet: it has (\d+|more) [a-z ]*weights",
    ):
        initial_weights.load(new(config), config, ["a"])


def dense(*units: int, dropout: bool = False) -> keras.Model:
    kept = [keras.layers.Dropout(0.5)] if dropout else []
    with replicable.fresh_names():
        parts = [layer for n in units for layer in (keras.layers.Dense(n), *kept)]
        return keras.Sequential([keras.Input((4,)), *parts])


def test_a_checkpoint_of_one_layer_more_is_of_another_network(config: ConfigDict, tmp_path: Path):
    config.model.weights = str(tmp_path / "checkpoint")
    write_checkpoint(dense(3, 1), config.model.weights)
    with pytest.raises(UsageError, match="it has more weights, as .*dense_1/bias"):
        initial_weights.load(dense(1), config, ["a"])


def test_what_dropout_draws_from_is_no_weight_of_a_checkpoint(config: ConfigDict, tmp_path: Path):
    before, after = dense(3, 2, 1, dropout=True), dense(3, 2, 1)
    config.model.weights = str(tmp_path / "checkpoint")
    write_checkpoint(before, config.model.weights)
    initial_weights.load(after, config, ["a"])
    assert all(equal(after, before).values())


def test_a_checkpoint_of_a_pretraining_gives_its_backbone(config: ConfigDict, tmp_path: Path):
    config.pretrain.projection, config.model.weights = 8, str(tmp_path / "checkpoint")
    before, after = siamese.network(new(config), config.pretrain), new(config)
    write_checkpoint(before, config.model.weights)
    head = after.get_layer("logits").kernel.numpy()
    initial_weights.load(after, config, ["a"])
    np.testing.assert_array_equal(after.get_layer("stem").kernel, before.get_layer("stem").kernel)
    np.testing.assert_array_equal(after.get_layer("logits").kernel, head)


def test_what_keras_keeps_beside_the_layers_is_no_layer(config: ConfigDict, tmp_path: Path):
    before = new(config)
    before.compile("adam", "binary_crossentropy", metrics=["auc"])
    before.fit(np.zeros([2, 32, 32, 1]), np.array([[0.0], [1.0]]), verbose=0)
    config.model.weights = str(tmp_path / "fitted.weights.h5")
    before.save_weights(config.model.weights)
    after = new(config)
    initial_weights.load(after, config, ["a"])
    assert all(equal(after, before).values())


def test_a_run_gives_its_best_weights_and_its_head_for_the_same_labels_alone(
    finished: epath.Path, tiny: ConfigDict
):
    tiny.model.weights, tiny.model.channels = str(finished), 3
    trained = TrainedModel.load(finished)
    for labels, heads in ((trained.labels, True), (["another"], False)):
        network = new(tiny)
        initial_weights.load(network, tiny, labels)
        found = equal(network, trained.model)
        assert found.pop("logits/kernel") is found.pop("logits/bias") is heads
        assert all(found.values())


def test_weights_of_imagenet_go_to_the_layers_of_the_same_name(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    config.model.name, config.model.weights = "mobilenetv3small", "imagenet"
    config.data.image_size = 32
    constructor = applications.CONSTRUCTORS["mobilenetv3small"]
    there: list[keras.Model] = []

    def download(name: str, side: int) -> keras.Model:
        there.append(constructor(include_top=False, weights=None, input_shape=(side, side, 3)))
        return there[0]

    monkeypatch.setattr(applications, "backbone", download)
    network = new(config)
    initial_weights.load(network, config, ["a"])
    assert all(equal(there[0], network).values())


def test_without_a_network_imagenet_is_refused_in_a_sentence(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise Exception("URL fetch failure on https://there: None -- no route")

    monkeypatch.setattr(applications, "backbone", fail)
    config.model.weights = "imagenet"
    with pytest.raises(Unavailable, match="cannot be downloaded .*no route.*name a file"):
        initial_weights.load(new(config), config, ["a"])


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [("imagenet", "not for model.name=resnet"), ("missing.weights.h5", "does not exist")],
)
def test_weights_that_cannot_be_are_refused_before_tensorflow(
    config: ConfigDict, weights: str, sentence: str
):
    config.model.weights = weights
    with pytest.raises(UsageError, match=sentence):
        run_checks._check_weights(config.model)


def test_a_file_that_holds_no_weights_is_refused(config: ConfigDict, tmp_path: Path):
    for name in ("a.weights.h5", "a.keras", "a.txt"):
        (tmp_path / name).write_text("nothing")
        config.model.weights = str(tmp_path / name)
        with pytest.raises(UsageError, match="cannot be read"):
            initial_weights.load(new(config), config, ["a"])
