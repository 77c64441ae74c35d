"""Serves an export over HTTP: `radiograph serve EXPORT`.

It speaks TensorFlow Serving's REST contract, takes files of any format that `radiograph predict`
takes, and has a page for people; docs/serve.md describes all three.
"""

import gc
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from absl import flags
from etils import epath, epy

from trainer.commands import path_flags, program, set_up
from trainer.commands.command import COMMANDS
from trainer.export import destination
from trainer.serve import address
from trainer.system import tensorflow_import
from trainer.system.errors import Stopped, UsageError

with epy.lazy_imports():  # the extra, and TensorFlow
    from trainer.export import exported
    from trainer.serve import gateway, server

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
LEAST_TOKEN = 16  # characters


def main(argv: Sequence[str]) -> None:
    """Serves the export that the command line names until a signal comes.

    Raises:
      Stopped: at a signal, after all requests in flight are answered.
    """
    given = flags.FLAGS
    folder = path_flags.expand(argv[1])
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(
            f"radiograph serve needs {missing[0]}: pip install 'radiograph-trainer[serve]', or "
            "scripts/setup.sh --serve in a checkout."
        )
    token = _token(given.token_file)
    destination.check_is_export(epath.Path(folder))
    bound = address.bind(given.host, given.port)
    if program.verbosity() <= 0:
        os.environ[set_up.LOG_LEVEL] = "3"  # a line for each damaged JPEG is its client's affair
    with program.stop_at_signals("nothing was served yet"):
        tensorflow_import.import_quietly()
        name = given.name or epath.Path(folder).resolve().name
        options = server.Options(
            batch=given.batch,
            wait=given.wait_ms / 1000,
            workers=given.workers or len(os.sched_getaffinity(0)),
            limits=gateway.Limits(
                bytes=given.max_mb * 2**20, files=given.max_files, rate=given.rate
            ),
            token=token,
        )
        with exported.local(folder) as here:
            opened = exported.Exported.open(here)
            served = server.service(opened, name, options)
            opened.check_unchanged()
        gc.collect()
        gc.freeze()  # what TensorFlow holds is not looked through again at each large request
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        running = server.Server(
            served,
            given.drain_seconds,
            lambda: print(f"serving {name} at http://{shown}:{port}", flush=True),
        )
        running.run([bound])
    if number := running.received:
        end = "answered" if running.finished else "cut off"
        raise Stopped(number, f"by {number.name}; requests in flight were {end}.")


def _token(file: str) -> str | None:
    """Returns the token that a file holds.

    Raises:
      UsageError: it cannot be read, or is too short to be one.
    """
    if not file:
        return None
    try:
        token = epath.Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token_file={file} cannot be read: name a file with a line.") from error
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"--token_file={file} holds no token of {LEAST_TOKEN} printable characters or more: "
            "make one, as with openssl rand -hex 32."
        )
    return token


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    common: dict[str, Any] = {"flag_values": flag_values}
    flags.DEFINE_integer(
        "port", 8501, "port; 0 for any that is free", lower_bound=0, upper_bound=65535, **common
    )
    flags.DEFINE_string(
        "host", "127.0.0.1", "address to listen at; 0.0.0.0 for those of other machines", **common
    )
    flags.DEFINE_string("name", "", "name of the model; by default that of the folder", **common)
    path_flags.define_path(
        "token_file", "", "file with the token that each client has to show", **common
    )
    flags.DEFINE_integer(
        "batch", 32, "images that go through the network together", lower_bound=1, **common
    )
    flags.DEFINE_float(
        "wait_ms", 1.0, "time that an image waits for others at most", 0.0, 1000.0, **common
    )
    flags.DEFINE_integer("max_mb", 32, "size of a request, MiB", lower_bound=1, **common)
    flags.DEFINE_integer("max_files", 32, "files of a request", lower_bound=1, **common)
    flags.DEFINE_float(
        "rate", 0.0, "requests a second of each client's address; 0 for any", 0.0, **common
    )
    flags.DEFINE_integer(
        "workers", 0, "processes that decode; 0: one per core", lower_bound=0, **common
    )
    flags.DEFINE_float(
        "drain_seconds", 5.0, "time from SIGTERM on until no connection is accepted", 0.0, **common
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["serve"])


if __name__ == "__main__":
    run()
