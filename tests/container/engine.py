"""Images of buildah, run as an engine would: entrypoint, environment, user, volumes, process 1.

`buildah run` leaves out the entrypoint, and lets the root be written.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MOUNT = "/mnt"  # where a container finds the folder that it may write


class Engine:
    """Images and containers in a folder of their own; needs root and buildah.

    Attributes:
      environment: for programs that call buildah.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        storage = folder / "storage.conf"
        self.environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDAH_LAYERS": "true",  # so that a second image takes what the first has
        }
        for driver in ("overlay", "vfs"):  # the first is faster, and does not work everywhere
            storage.write_text(
                f'[storage]\ndriver = "{driver}"\n'
                f'graphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
            )
            if self._call("info").returncode == 0:
                break

    def buildah(self, *arguments: str) -> str:
        """Returns what buildah prints."""
        done = self._call(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        """Removes everything."""
        for mounted in reversed(psutil.disk_partitions(all=True)):
            if Path(mounted.mountpoint).is_relative_to(self.folder):
                subprocess.run(["umount", mounted.mountpoint], check=True)
        shutil.rmtree(self.folder)

    def _call(self, *arguments: str) -> subprocess.CompletedProcess:
        command = ["buildah", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=600
        )


@dataclass(frozen=True)
class Image:
    """An image, its content mounted.

    Attributes:
      config: as Docker has it: User, Entrypoint, Healthcheck, ...
      root: of its files.
      size: of its layers, in bytes.
    """

    config: dict
    root: Path
    size: int

    def start(self, mount: Path, *command: str) -> "Container":
        """Starts a container with a read-only root and `mount` at MOUNT.

        Args:
          command: in place of the entrypoint; arguments for it if the first begins with "-" or "/".
        """
        if command[0].startswith(("-", "/")):
            command = (*self.config["Entrypoint"], *command)
        return Container(self, mount, command)


def mounted(engine: Engine, name: str) -> Image:
    """Returns an image that `engine` has, ready to be started."""
    told = json.loads(engine.buildah("inspect", "--type", "image", name))
    layers = json.loads(told["Manifest"])["layers"]
    root = engine.buildah("mount", engine.buildah("from", name))
    return Image(told["Docker"]["config"], Path(root), sum(layer["size"] for layer in layers))


class Container:
    """A process in namespaces of its own, in which it is the first.

    Attributes:
      output: the file that has what it printed.
    """

    def __init__(self, image: Image, mount: Path, command: Sequence[str]):
        root = mount.parent / "root"
        root.mkdir(exist_ok=True)
        self.output = mount.parent / "output"
        config = image.config
        mounts = [
            ["mount", "--bind", image.root, root],
            ["mount", "-o", "remount,bind,ro", root],
            ["mount", "-t", "proc", "proc", f"{root}/proc"],
            ["mount", "-t", "sysfs", "-o", "ro", "sysfs", f"{root}/sys"],
            ["mount", "--rbind", "/dev", f"{root}/dev"],
            *(["mount", "-t", "tmpfs", "tmpfs", f"{root}{volume}"] for volume in config["Volumes"]),
            ["mount", "--bind", mount, f"{root}{MOUNT}"],
        ]
        enter = ["exec", "chroot", f"--userspec={config['User']}", "--groups=", root]
        inside = ["env", "-i", f"--chdir={config['WorkingDir']}", *config["Env"], *command]
        script = "\n".join(shlex.join(map(str, line)) for line in [*mounts, [*enter, *inside]])
        with self.output.open("w") as output:
            self._outside = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the container's process, as an engine does to stop it."""
        with suppress(psutil.NoSuchProcess):
            for first in psutil.Process(self._outside.pid).children():
                first.send_signal(number)

    def wait(self) -> int:
        """Returns the exit code, negative where a signal ended it."""
        try:
            return self._outside.wait(timeout=300)
        finally:
            self._outside.kill()

    def running(self) -> bool:
        """Returns whether it has not ended."""
        return self._outside.poll() is None
