"""From training to export: one's own network, and one of Keras, say in the end what they said."""

import csv
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.forks import Forks
from trainer.data.synthetic import phantom

OWN = """
import keras
from keras import layers

def network(shape, labels, model):
    image = keras.Input(shape)
    x = layers.RandomTranslation(0.1, 0.1)(layers.GaussianNoise(0.05)(image))
    x = layers.Conv2D(4, 3, use_bias=False)(x)
    x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.GaussianDropout(0.1)(layers.Dropout(model.dropout)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(labels)(x), name="own")
"""
SHRUNK = """
import runpy
from keras.src.applications import densenet
from trainer.models import applications

def densenet121(**given):
    return densenet.DenseNet([1, 0, 0, 1], **given)

densenet121.__module__ = densenet.__name__
applications.CONSTRUCTORS["densenet121"] = densenet121
runpy.run_module("trainer", run_name="__main__")
"""
TINY = (
    *("--config=demo", "--config.data.image_size=32", "--config.train.epochs=1"),
    *("--config.train.batch_size=16", "--config.model.dropout=0.2", "--config.summaries.times=0"),
    *("--config.augment.strength=0", "--config.profile.flops=false"),
    *("--config.augment.horizontal_flip=false", "--config.distribute.strategy=one_device"),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "views"), [("own", 6), ("densenet121", 2)])
def test_an_export_says_what_the_trained_network_said(
    name: str, views: int, forks: Forks, phantoms: epath.Path, tmp_path: Path
):
    (tmp_path / "net.py").write_text(OWN)
    network = f"{tmp_path / 'net.py'}:network" if name == "own" else name
    run, out, images = tmp_path / "run", tmp_path / "export", tmp_path / "images"
    images.mkdir()
    for path, jpeg in [*phantom.archive(6)]:
        (images / Path(path).name).write_bytes(jpeg)

    def radiograph(*arguments: object) -> subprocess.CompletedProcess:
        done = forks.run("-c", SHRUNK, *arguments, timeout=500)
        assert done.returncode == 0, done.stderr
        return done

    radiograph(
        *("train", *TINY, f"--config.data.path={phantoms}", f"--workdir={run}"),
        *(f"--config.model.name={network}", f"--config.model.views={views}"),
    )
    assert f"“{name}”, input 32" in (run / "report.html").read_text()
    radiograph("export", run, f"--out={out}", "--format=saved_model,keras")
    radiograph("predict", run, images, f"--out={tmp_path / 'predictions.csv'}")
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    said = np.array([float(row["probability PNEUMONIA"]) for row in rows])
    assert len(said) == 6 and np.ptp(said) > 0

    serve = tf.saved_model.load(str(out / "saved_model/1")).signatures["serving_default"]
    files = [Path(row["path"]).read_bytes() for row in rows]
    found = serve(image_bytes=tf.constant(files))["probability"].numpy()
    np.testing.assert_allclose(found.ravel(), said, atol=1e-5)
    plain = keras.models.load_model(out / "model.keras")
    kinds = {type(layer).__module__.partition(".")[0] for layer in plain._flatten_layers()}
    assert kinds == {"keras"}
