"""A Python whose programs run in forks of a process that has imported TensorFlow, which else takes
each of them seconds.

`Forks.python` is called as Python is: it asks that process for a fork, which gets its arguments,
environment, folder, and standard files, passes signals on to it, and ends as it does. The programs
that one starts by `sys.executable` run in forks, too.
"""

import gc
import json
import multiprocessing.spawn  # noqa: F401 (its workers are started by Python itself)
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]

# How often and how soon TensorFlow asks a bucket again; it reads them when it is loaded.
RETRIES = {
    "GCS_RETRY_CONFIG_MAX_RETRIES": "1",
    "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000",
}

# What stands for Python: options other than these are for Python itself.
CALLED = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:2] and sys.argv[1][0] == "-" and sys.argv[1] not in ("-m", "-c"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
passed_on = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
asked = dict(arguments=sys.argv[1:], environment={{**os.environ}}, folder=os.getcwd())
asked |= dict(python=__file__)
socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
pid = int(server.recv(99))

def pass_on(number, frame):
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it has just ended
        pass

for number in passed_on:
    signal.signal(number, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
code = int(server.recv(99))
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class Forks:
    """Such a process, which ends with this one.

    Attributes:
      python: the file to call in place of `sys.executable`.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] = RETRIES):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("")  # to a name that the kernel chooses
        listener.listen()
        self.python = folder / "python"
        called = CALLED.format(python=sys.executable, address=listener.getsockname())
        self.python.write_text(called)
        self.python.chmod(0o755)
        with listener, (folder / "log").open("w") as log:  # of TensorFlow while it is loaded
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                stdin=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
                pass_fds=[listener.fileno()],
            )

    def run(
        self,
        *arguments: object,
        environment: Mapping[str, str] = os.environ,
        timeout: float = 110,
    ) -> subprocess.CompletedProcess:
        """Runs `python ARGUMENTS` in the repository.

        Raises:
          subprocess.TimeoutExpired: if it takes longer; it is killed.
        """
        return subprocess.run(
            [self.python, *map(str, arguments)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def close(self) -> None:
        """Ends the process."""
        self._server.stdin.close()
        self._server.wait(20)


def serve(listener: socket.socket) -> dict | None:
    """Returns what is asked for in the process that is to do it, and None at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        caller, _ = listener.accept()
        if os.fork():
            caller.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message, files, *_ = socket.recv_fds(caller, 2**20, 3)
        if pid := os.fork():
            watch(pid, caller, files)
        caller.close()
        listener.close()
        return json.loads(message) | {"files": files}
    return None


def watch(pid: int, caller: socket.socket, files: list[int]) -> None:
    """Tells who has asked how the process ends, and ends it with who has asked."""
    for file in (*files, 0, 1, 2):
        os.close(file)
    caller.send(str(pid).encode())
    if caller in select.select([os.pidfd_open(pid), caller], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        caller.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(
    arguments: list[str], environment: dict[str, str], folder: str, python: str, files: list[int]
) -> None:
    """Makes this process what a new Python with these arguments would be, and runs that."""
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0)  # noqa: SIM115 (the one before is the server's)
    os.environ.clear()
    os.environ.update(environment)
    if "PYTHONUNBUFFERED" in environment:
        sys.stdout.reconfigure(write_through=True)
    os.chdir(folder)
    sys.executable = python
    program, *sys.argv[1:] = arguments if arguments[0][0] != "-" else arguments[1:]
    sys.argv[0], sys.path[0] = program, folder
    if arguments[0] == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(program).absolute().parent)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    from trainer.commands.set_up import set_up

    set_up()
    from trainer import train  # noqa: F401

    gc.freeze()  # what is loaded is shared by all, and no fork looks through it
    if asked := serve(socket.socket(fileno=int(sys.argv[1]))):
        become(**asked)
