"""TPUs: whether this machine has one, and the strategy that trains on it.

TensorFlow is imported where it is used, since `skip_where_there_is_none()` must come before.
"""

import functools
import importlib.metadata
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer.system.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

LOCAL = "local"
DISTRIBUTION = "tensorflow-tpu"
# Environment variables that TensorFlow takes a TPU's name or addresses from.
VARIABLES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")
GOOGLE_PCI_VENDOR = "0x1ae0"
PORT = 8470
CONNECT_SECONDS = 5


def skip_where_there_is_none() -> None:
    """Keeps `import tensorflow` from searching for a TPU where there can be none.

    Outside Google's cloud libtpu asks for the metadata server at every import, for minutes. Without
    effect where tensorflow-tpu is not installed, where a TPU may be, or where the variable is set.
    """
    if installed() and not evidence() and not _on_google_cloud():
        os.environ.setdefault("TPU_LOAD_LIBRARY", "0")


def evidence() -> str:
    """Returns in words what shows that there is a TPU; "" if nothing does."""
    for name in VARIABLES:
        if os.environ.get(name):
            return f"{name} is {os.environ[name]}"
    # Not /dev/accel/, where Linux puts the accelerators of other makers.
    devices = sorted(Path("/dev").glob("accel[0-9]*"))
    # VFIO passes any device through, so ask for one of Google.
    if not devices and _has_google_pci_device():
        devices = sorted(Path("/dev/vfio").glob("[0-9]*"))
    return f"{devices[0]} exists" if devices else ""


def strategy(name: str = LOCAL) -> "tf.distribute.TPUStrategy":
    """Returns the strategy over all cores of a TPU, which is initialised once per process.

    Args:
      name: "local" for the TPU of this machine, or the name or grpc://host:port of another.

    Raises:
      UsageError: if there is no such TPU, or this TensorFlow cannot use it.
    """
    # Checked first, since with some settings libtpu crashes where there is none.
    if name == LOCAL and not evidence() and not _on_google_cloud():
        raise UsageError(
            "distribute.tpu=local, but this machine has no TPU (neither /dev/accel0 nor a "
            "/dev/vfio device of Google): run on a TPU VM, or leave out "
            "--config.distribute.strategy=tpu."
        )
    import tensorflow as tf

    return tf.distribute.TPUStrategy(_initialised(name))


@functools.cache
def _initialised(name: str) -> "tf.distribute.cluster_resolver.TPUClusterResolver":
    """Initialises a TPU, once: a second time would lose the variables on it."""
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        address = resolver.master()
    except Exception as error:  # of the cloud's API: unreachable, not installed, not allowed ...
        raise UsageError(
            f"distribute.tpu={name!r} cannot be looked up ({_in_one_line(error)}): give 'local' "
            "on a TPU VM, or the TPU's address as grpc://host:port."
        ) from error
    try:
        if name != LOCAL:
            _check_reachable(name, address)
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UsageError(_cannot_start(name, error)) from error
    return resolver


def _check_reachable(name: str, address: str) -> None:
    """Raises a UsageError unless the address answers; TensorFlow would wait for ever."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port or PORT), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"distribute.tpu={name!r} does not answer at {address} ({_in_one_line(error)}): check "
            "that the TPU runs and that this machine is in its network."
        ) from error


def _cannot_start(name: str, error: Exception) -> str:
    if "No OpKernel was registered" in str(error):
        return (
            f"distribute.tpu={name!r} needs a TensorFlow with TPU support, which this one lacks: "
            "install it with ACCELERATOR=tpu scripts/setup.sh."
        )
    return (
        f"distribute.tpu={name!r} cannot be initialised ({_in_one_line(error)}): check that this "
        "machine has a TPU that no other process uses."
    )


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{text[:200]}..." if len(text) > 200 else text or type(error).__name__


def installed() -> bool:
    """Returns whether TensorFlow is the build for TPUs, which has no XLA for other devices."""
    try:
        importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _on_google_cloud() -> bool:
    return _read(Path("/sys/class/dmi/id/product_name")).startswith("Google")


def _has_google_pci_device() -> bool:
    vendors = Path("/sys/bus/pci/devices").glob("*/vendor")
    return any(_read(vendor) == GOOGLE_PCI_VENDOR for vendor in vendors)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
