"""A command sets its process up before TensorFlow is imported, and the user's settings stand."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorflow.python.util import _pywrap_util_port

from trainer.commands import set_up
from trainer.system.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    """An environment without our variables; what a test sets is undone."""
    for name in set_up.DEFAULTS:
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what set_up() changes
        monkeypatch.delenv(name)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_variables_get_defaults_and_those_of_the_user_stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GCS_READ_CACHE_BLOCK_SIZE_MB", "2")
    set_up.set_up()
    expected = set_up.DEFAULTS | {"GCS_READ_CACHE_BLOCK_SIZE_MB": "2"}
    assert {name: os.environ[name] for name in set_up.DEFAULTS} == expected


COMMANDS = """
import sys
from importlib import import_module
from absl import flags
from trainer.commands import command, set_up
for each in command.COMMANDS.values():
    import_module(each.module)
    for flag in [*flags.FLAGS]:  # of which two commands have some in common
        delattr(flags.FLAGS, flag)
import trainer.api
early = {"numpy", "tensorflow"} & {*sys.modules}
set_up.set_up()
from tensorflow.python.util import _pywrap_util_port
print(*early, _pywrap_util_port.IsMklEnabled())
"""


def test_commands_load_numpy_and_tensorflow_late_enough_and_use_onednn_as_these_tests_do():
    done = python(COMMANDS)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert _pywrap_util_port.IsMklEnabled()  # else the same test would train to other bits


def test_missing_tensorflow_is_refused_with_the_extras_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(set_up, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"radiograph-trainer\[cpu\].*\[gpu\].*\[tpu\]"):
        set_up.set_up()


def test_another_keras_backend_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UsageError, match="KERAS_BACKEND is 'jax'.*unset it"):
        set_up.set_up()


# An input pipeline that ends and a compiled loop, which log at the level of information.
QUIET = """
from trainer.commands import set_up
set_up.set_up()
set_up.show_logs(0)
from trainer.system import tensorflow_import
tensorflow_import.import_quietly()
import tensorflow as tf
tf.function(lambda: tf.while_loop(lambda x: x < 9, lambda x: [x + 1], [tf.constant(1)]))()
list(tf.data.Dataset.range(3))
"""


def test_tensorflow_logs_nothing():
    done = python(QUIET)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verbosity", "level", "shown"), [(0, "2", logging.WARNING), (1, "0", logging.INFO)]
)
def test_verbosity_shows_the_logs_of_python_and_tensorflow(
    monkeypatch: pytest.MonkeyPatch, verbosity: int, level: str, shown: int
):
    before = logging.getLogger().level
    monkeypatch.setenv(set_up.LOG_LEVEL, "2")
    set_up.show_logs(verbosity)
    assert (os.environ[set_up.LOG_LEVEL], logging.getLogger().level) == (level, shown)
    logging.getLogger().setLevel(before)


SIGTERM = """
import os, signal, sys
pid, number = os.getpid(), int(sys.argv[1])
os.getpid = lambda: number or pid
from trainer.commands import set_up
set_up.set_up()
os.kill(pid, signal.SIGTERM)
"""


@pytest.mark.parametrize(("number", "code"), [(1, 128 + signal.SIGTERM), (0, -signal.SIGTERM)])
def test_sigterm_ends_the_first_process_of_a_container_too(number: int, code: int):
    # By default the kernel would drop it there; tests/container starts a real one.
    done = python(SIGTERM, str(number))
    assert done.returncode == code, done.stderr
