"""Runs programs in forks of a process that has imported TensorFlow, which else takes each seconds.

`python tests/forks.py` takes a line of JSON a program on its standard input, and runs them side by
side: `arguments` as Python's own (-m MODULE, -c CODE or FILE, and more), `environment`, and
`folder`, where it writes the program's `stdout` and `stderr`, and at the end its exit code,
negative for a signal.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
POLL_SECONDS = 0.02

# How often and how soon TensorFlow asks a bucket again; it reads them when it is loaded.
RETRIES = {
    "GCS_RETRY_CONFIG_MAX_RETRIES": "1",
    "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000",
}


class Forks:
    """The client of such a process, which ends with it."""

    def __init__(self, folder: Path):
        self._folder, self._count, self._lock = folder, 0, threading.Lock()
        self._log = folder / "log"  # of what TensorFlow says while it is loaded
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stderr=self._log.open("w"),
            text=True,
            cwd=ROOT,
            env=os.environ | RETRIES | {"PYTHONPATH": str(ROOT)},
        )

    def run(
        self,
        *arguments: object,
        environment: Mapping[str, str] = os.environ,
        timeout: float = 110,
    ) -> subprocess.CompletedProcess:
        """Runs `python ARGUMENTS`, as `subprocess.run` does; several threads may call it.

        Raises:
          subprocess.TimeoutExpired: if it takes longer; it is killed.
        """
        asked = {"arguments": [*map(str, arguments)], "environment": dict(environment)}
        with self._lock:
            self._count += 1
            folder = self._folder / str(self._count)
            folder.mkdir()
            asked["folder"] = str(folder)
            print(json.dumps(asked), file=self._server.stdin, flush=True)
        deadline = time.monotonic() + timeout
        while not (folder / "code").exists():
            assert self._server.poll() is None, self._log.read_text()
            if time.monotonic() > deadline:
                if (folder / "pid").exists():
                    os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, timeout)
            time.sleep(POLL_SECONDS)
        code, stdout, stderr = ((folder / n).read_text() for n in ("code", "stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, int(code), stdout, stderr)

    def close(self) -> None:
        """Ends the process."""
        self._server.stdin.close()
        self._server.wait(20)


def serve() -> dict | None:
    """Returns what is asked for in the process that is to do it, and None at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asked = json.loads(line)
        if pid := os.fork():
            _, status = os.waitpid(pid, 0)
            done = Path(asked["folder"]) / "code"
            done.with_suffix(".tmp").write_text(str(os.waitstatus_to_exitcode(status)))
            done.with_suffix(".tmp").rename(done)
            os._exit(0)
        return asked
    return None


def become(arguments: Sequence[str], environment: dict[str, str], folder: str) -> None:
    """Makes this process what a new Python with these arguments would be, and runs that."""
    os.setsid()
    (Path(folder) / "pid").write_text(str(os.getpid()))
    for number, name in enumerate((os.devnull, f"{folder}/stdout", f"{folder}/stderr")):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0)  # noqa: SIM115 (the one before has read ahead)
    os.environ.clear()
    os.environ.update(environment)
    program, *sys.argv[1:] = arguments if arguments[0][0] != "-" else arguments[1:]
    sys.argv[0], sys.path[0] = program, os.getcwd()
    if arguments[0] == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    from trainer.commands.set_up import set_up

    set_up()
    from trainer import train  # noqa: F401

    gc.freeze()  # what is loaded is shared by all, and no fork looks through it
    if asked := serve():
        become(**asked)
