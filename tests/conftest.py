"""What the tests share: logical devices, a small prepared data set, a tiny config, a bucket."""

import contextlib
import fcntl
import gc
import json
import os
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from tests.forks import Forks
from tests.nameless import nameless
from trainer import train
from trainer.config.schema import default
from trainer.data import sources
from trainer.data.prepare import preparation
from trainer.export import export_folder
from trainer.judge.ensemble import Ensemble
from trainer.show.charts.chart import Chart

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first: none starts when the other processes are done."""
    slowest = dict.fromkeys((item.path for item in items), 0)
    for item in items:
        rank = 2 if item.get_closest_marker("long") else bool(item.get_closest_marker("slow"))
        slowest[item.path] = max(slowest[item.path], rank)
    items.sort(key=lambda item: -slowest[item.path])


def pytest_collection_finish() -> None:
    """Spares each collection of garbage all that is imported, a twentieth of what tests take."""
    gc.freeze()


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


@pytest.fixture(scope="session", autouse=True)
def _no_other_replicas() -> Iterator[None]:
    """Fails a test that trains on more of them, and not those that come after it."""
    scope = tf.distribute.MirroredStrategy.scope

    def checked(strategy: tf.distribute.Strategy) -> object:
        assert strategy.num_replicas_in_sync == 2, "take the fixture two_replicas or one_device"
        return scope(strategy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.distribute.MirroredStrategy, "scope", checked)
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., epath.Path]:
    """Returns a folder that the first process to ask for it fills, for all processes of pytest."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made_once(name: str, make: Callable[[epath.Path], object]) -> epath.Path:
        folder, done = base / name, base / f"{name}.done"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()
                make(epath.Path(folder))
                done.touch()
        return epath.Path(folder)

    return made_once


@pytest.fixture(scope="session")
def phantoms(made_once: Callable[..., epath.Path]) -> epath.Path:
    """A prepared data set of 120 phantoms, made by a user without a name."""

    def make(out: epath.Path) -> None:
        with nameless():
            preparation.prepare(sources.open_source("phantom:120"), out, max_side=128)

    return made_once("phantoms", make)


@pytest.fixture(scope="session")
def new_tiny(phantoms: epath.Path) -> Callable[[], ConfigDict]:
    """Returns what makes a config that trains in seconds, with all that draws or averages."""

    def new_tiny() -> ConfigDict:
        config = default()
        config.name = "tiny"
        config.data.path = str(phantoms)
        config.data.image_size = 32
        config.profile.flops = False  # which takes longer than the training
        config.augment.rotation_range = 20.0
        config.augment.zoom_range = 0.2
        config.augment.horizontal_flip = True
        config.augment.contrast_range = 0.2
        config.augment.jit_compile = False  # it takes longer than these few steps
        config.model.width = 4
        config.model.stages = 2
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

    return new_tiny


@pytest.fixture
def tiny(new_tiny: Callable[[], ConfigDict]) -> ConfigDict:
    """A config that trains in seconds, for a test to change."""
    return new_tiny()


@pytest.fixture(scope="session")
def finished(
    new_tiny: Callable[[], ConfigDict], made_once: Callable[..., epath.Path]
) -> epath.Path:
    """A finished run with all its pictures and a trace; what it printed is in `stdout` there."""
    config = new_tiny()
    config.data.image_size, config.data.fit, config.model.channels = 64, "pad", 3
    config.checkpoint.every_steps, config.profile.steps = 3, "3,5"

    def make(workdir: epath.Path) -> None:
        stdout = (workdir / "stdout").open("w")
        with stdout, contextlib.redirect_stdout(stdout), nameless():
            train.train_and_evaluate(config, workdir)

    return made_once("finished", make)


@pytest.fixture(scope="module")
def no_charts() -> Iterator[None]:
    """Leaves out what takes a third of a short run; not for a file that asks for `finished`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chart, "svg", lambda chart: "<svg></svg>")
        yield


@pytest.fixture(scope="session")
def served_run(finished: epath.Path) -> Ensemble:
    """The network of that run."""
    return Ensemble.load([finished])


@pytest.fixture(scope="session")
def lungs(
    served_run: Ensemble, phantoms: epath.Path, made_once: Callable[..., epath.Path]
) -> epath.Path:
    """The folder of an export of it, with all its training images."""

    def make(folder: epath.Path) -> None:
        formats, out = ["saved_model"], folder / "lungs"
        export_folder.export(served_run, formats, out, data=phantoms, similar=5000)

    return made_once("served", make) / "lungs"


@pytest.fixture
def shared_data() -> Path:
    """The real radiographs of the developers, which a user's clone does not have."""
    if not SHARED_DATA.exists():
        pytest.skip("needs ../shared/data (real radiographs), which is not there")
    return SHARED_DATA


@dataclass
class Bucket:
    """gs://bucket, as a subprocess with `environment` sees it."""

    environment: dict[str, str]
    forks: Forks

    def fail(self, **faults: int) -> None:
        """Orders these faults and no others, see tests/gcs.py."""
        self._ask("PUT", "/faults", json.dumps(faults))

    def downloads(self) -> list[str]:
        """Returns the path of every object that was read."""
        return self._ask("GET", "/requests")

    def write(self, name: str, content: bytes) -> None:
        """Puts an object into the bucket."""
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        self._storage(f"upload/storage/v1/b/bucket/o?{query}", content)

    def fetch(self, prefix: str, folder: Path) -> None:
        """Copies all objects whose names begin so to files."""
        listed = self._storage(
            f"storage/v1/b/bucket/o?{urllib.parse.urlencode({'prefix': prefix})}"
        )
        for name in (item["name"] for item in json.loads(listed).get("items", [])):
            if not name.endswith("/"):  # which marks a folder
                file = folder / name.removeprefix(prefix).lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self._storage(f"bucket/{urllib.parse.quote(name)}"))

    def run(
        self, *arguments: str, timeout: float = 110, **environment: str
    ) -> subprocess.CompletedProcess:
        """Runs Python in a process that can reach the bucket, with more in its environment."""
        environment = self.environment | environment
        return self.forks.run(*arguments, environment=environment, timeout=timeout)

    def _storage(self, path: str, content: bytes | None = None) -> bytes:
        context = ssl.create_default_context(cafile=self.environment["CURL_CA_BUNDLE"])
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": self.environment["HTTPS_PROXY"]}),
            urllib.request.HTTPSHandler(context=context),
        )
        with opener.open(f"https://storage.googleapis.com/{path}", content, timeout=20) as answer:
            return answer.read()

    def _ask(self, method: str, path: str, body: str | None = None) -> object:
        request = urllib.request.Request(
            self.environment["HTTPS_PROXY"] + path, body and body.encode(), method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=20) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A Python whose programs begin at once."""
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def running_bucket(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    for module in ("gcp_storage_emulator", "cryptography"):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}, of requirements/test.txt")
    folder = tmp_path_factory.mktemp("bucket")
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "gcs.py", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Bucket(os.environ | json.loads(server.stdout.readline()), forks)
    finally:
        server.stdin.close()
        server.wait(20)


@pytest.fixture
def bucket(running_bucket: Bucket) -> Bucket:
    """A bucket that works, shared by the tests of a file."""
    running_bucket.fail()
    return running_bucket
