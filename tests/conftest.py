"""What the tests share: logical devices, a small prepared data set, a tiny config."""

from pathlib import Path

import keras
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.config import default
from trainer.data import prepare, sources
from trainer.models import resnet

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)


@pytest.fixture(autouse=True)
def _float32():
    """Leaves no test under the precision of the one before."""
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture
def one_device() -> tf.distribute.Strategy:
    return tf.distribute.OneDeviceStrategy("CPU:0")


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """One for all tests: strategies of one process would share the keys of their collectives."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> epath.Path:
    """A prepared data set of 120 phantoms."""
    out = epath.Path(tmp_path_factory.mktemp("phantoms"))
    prepare.prepare(sources.open_source("phantom:120"), out, max_side=128)
    return out


@pytest.fixture
def tiny(phantoms: epath.Path, monkeypatch: pytest.MonkeyPatch) -> ConfigDict:
    """A config that trains in seconds, with everything that draws or averages switched on."""
    monkeypatch.setattr(resnet, "STAGES", 2)  # half the layers to trace
    config = default()
    config.name = "tiny"
    config.data.path = str(phantoms)
    config.data.image_size = 32
    config.augment.rotation_range = 20.0
    config.augment.zoom_range = 0.2
    config.augment.horizontal_flip = True
    config.augment.contrast_range = 0.2
    config.model.width = 4
    config.model.dropout = 0.3
    config.train.epochs = 2
    config.train.batch_size = 8
    config.train.ema = 0.9
    config.optimizer.clip_norm = 1.0
    config.loss.label_smoothing = 0.1
    config.loss.class_weights = "balanced"
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 0.5
    config.distribute.strategy = "one_device"
    return config


@pytest.fixture
def shared_data() -> Path:
    """The real radiographs of the developers, which a user's clone does not have."""
    if not SHARED_DATA.exists():
        pytest.skip("needs ../shared/data (real radiographs), which is not there")
    return SHARED_DATA
