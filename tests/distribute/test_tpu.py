"""What is asked of a TPU where there is none, which is what can be tried without one."""

import os
import time
from pathlib import Path

import pytest
import tensorflow as tf

from trainer.distribute import tpu
from trainer.system.errors import UsageError


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch):
    """A machine of nobody's cloud without a TPU, whatever the tests run on."""
    for name in (*tpu.VARIABLES, "TPU_LOAD_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tpu, "Path", lambda path: Path("/nowhere"))
    tpu._initialised.cache_clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine to be furnished with devices."""
    monkeypatch.setattr(tpu, "Path", lambda path: tmp_path / path.lstrip("/"))
    return tmp_path


def put(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def refusal_of(name: str) -> str:
    with pytest.raises(UsageError) as refused:
        tpu.strategy(name)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_machine_without_tpu_shows_none():
    assert tpu.evidence() == ""


@pytest.mark.parametrize("name", tpu.VARIABLES)
def test_a_variable_that_names_a_tpu_shows_it(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "local")
    assert tpu.evidence() == f"{name} is local"


def test_device_files_of_a_tpu_show_it(machine: Path):
    put(machine / "dev/accel0")
    assert tpu.evidence().endswith("dev/accel0 exists")


def test_vfio_shows_a_tpu_only_with_a_device_of_google(machine: Path):
    put(machine / "dev/vfio/0")
    put(machine / "sys/bus/pci/devices/a/vendor", "0x10de\n")
    assert not tpu.evidence()
    put(machine / "sys/bus/pci/devices/b/vendor", "0x1ae0\n")
    assert tpu.evidence().endswith("dev/vfio/0 exists")


def test_accelerators_of_others_are_no_tpu(machine: Path):
    put(machine / "dev/accel/accel0")
    assert not tpu.evidence()


@pytest.mark.parametrize(
    "installed, product, expected",
    [(True, "Laptop", "0"), (True, "Google Compute Engine", None), (False, "Laptop", None)],
)
def test_libtpu_is_left_out_where_it_is_installed_and_no_tpu_can_be(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
    product: str,
    expected: str | None,
):
    monkeypatch.setattr(tpu, "DISTRIBUTION", "absl-py" if installed else "tensorflow-tpu-none")
    put(machine / "sys/class/dmi/id/product_name", product)
    tpu.skip_where_there_is_none()
    assert os.environ.pop("TPU_LOAD_LIBRARY", None) == expected


def test_what_the_user_set_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tpu, "DISTRIBUTION", "absl-py")
    monkeypatch.setenv("TPU_LOAD_LIBRARY", "1")
    tpu.skip_where_there_is_none()
    assert os.environ["TPU_LOAD_LIBRARY"] == "1"


def test_no_tpu_in_this_machine_is_said_in_one_sentence():
    assert "this machine has no TPU" in refusal_of("local")


def test_a_tensorflow_without_tpu_support_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TPU_NAME", "local")
    message = refusal_of("local")
    assert "ACCELERATOR=tpu scripts/setup.sh" in message or "cannot be initialised" in message


@pytest.mark.parametrize("name", ["", "grpc://127.0.0.1:1", "grpc://127.0.0.1:what"])
def test_a_wrong_address_is_refused_at_once(name: str):
    began = time.monotonic()
    assert repr(name) in refusal_of(name)
    assert time.monotonic() - began < 5


def test_a_name_that_cannot_be_looked_up_is_refused(monkeypatch: pytest.MonkeyPatch):
    def unreachable(**_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", unreachable)
    assert "'my-tpu' cannot be looked up (Name or service not known)" in refusal_of("my-tpu")


def test_a_tpu_is_initialised_once_and_connected_to_only_when_it_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
):
    calls = []

    class Resolver:
        def __init__(self, tpu: str):
            self.tpu = tpu

        def master(self) -> str:
            return "" if self.tpu == "local" else "grpc://host:8470"

    monkeypatch.setenv("TPU_NAME", "local")
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", Resolver)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolver: resolver.tpu)
    monkeypatch.setattr(tpu, "_check_reachable", lambda name, address: None)
    for place, name in (
        (tf.config, "experimental_connect_to_cluster"),
        (tf.tpu.experimental, "initialize_tpu_system"),
    ):
        monkeypatch.setattr(place, name, lambda resolver, n=name: calls.append((n, resolver.tpu)))
    assert [tpu.strategy(name) for name in ("local", "local", "far")] == ["local", "local", "far"]
    assert calls == [
        ("initialize_tpu_system", "local"),
        ("experimental_connect_to_cluster", "far"),
        ("initialize_tpu_system", "far"),
    ]
