"""The terminal shows no log of the libraries unless it is asked for, and every error."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from trainer.system import logging_levels

ROOT = Path(__file__).parents[2]
IMPORT = "import trainer, tensorflow"
HEADER = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
LOADED = [  # as TensorFlow 2.16 to 2.21 log it for CPUs and for GPUs
    HEADER,
    "I0000 00:00:1795493588.237063    7260 port.cc:153] oneDNN custom operations are on. You may",
    "2024-11-02 01:08:00.584775: I tensorflow/core/platform/cpu_feature_guard.cc:210] This Tensor",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow",
    "I0000 00:00:1795494230.538886   18441 cudart_stub.cc:31] Could not find cuda drivers on",
    "2024-11-02 01:08:00.536542: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:477] "
    "Unable to register cuFFT factory: Attempting to register factory for plugin cuFFT when one",
    "E0000 00:00:1730497080.560232   55183 cuda_dnn.cc:8310] Unable to register cuDNN factory: A",
    "E0000 00:00:1730497080.565334   55183 cuda_blas.cc:1418] Unable to register cuBLAS factory:",
    "W0000 00:00:1758131045.228301 3722035 computation_placer.cc:177] computation placer already "
    "registered. Please check linkage and avoid linking the same target more than once.",
    "2024-11-02 01:08:01.1: W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning",
]
ERRORS = [
    "E0000 00:00:1795494230.371793   18059 cuda_platform.cc:52] failed call to cuInit: UNKNOWN",
    "F0000 00:00:1795494230.371793   18059 env.cc:52] Check failed: n > 0",
    "2024-11-02 01:08:00.536542: F tensorflow/core/platform/env.cc:39] Check failed: ok",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "Traceback (most recent call last):",
    "ImportError: libstdc++.so.6: version `GLIBCXX_3.4.29' not found",
    "what a user prints, I0000 00:00:1 among it",
]


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs code that may import the package, with no log level of ours in the environment."""
    variables = {name: value for name, value in os.environ.items() if name != logging_levels.LEVEL}
    variables |= {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def within(code: str) -> str:
    """Returns a program that runs code while stderr is filtered."""
    head = (
        "import os, sys\nfrom trainer.system.logging_levels import NOISE, stderr_without\n"
        "with stderr_without(NOISE):\n"
    )
    return head + textwrap.indent(code, "    ")


def stand_in(tmp_path: Path, code: str) -> str:
    """Makes a package `tensorflow` that runs code, and returns what PYTHONPATH finds it by."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    return f"{tmp_path}:{ROOT}"


def test_importing_tensorflow_says_nothing():
    done = python(IMPORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("flag", ["--verbosity=1", "-v=1"])
def test_it_says_everything_where_that_is_asked_for(flag: str):
    assert HEADER in python(IMPORT, flag).stderr


def test_a_log_level_of_the_users_own_stands():
    loud = python(
        f"{IMPORT}, os; print(os.environ[{logging_levels.LEVEL!r}])", TF_CPP_MIN_LOG_LEVEL="1"
    )
    assert HEADER in loud.stderr and loud.stdout == "1\n"


def test_a_process_that_is_started_is_as_quiet_as_the_one_that_starts_it():
    start = "import trainer, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    assert python(start, IMPORT).stderr == ""
    assert HEADER in python(start, IMPORT, "--verbosity=1").stderr


@pytest.mark.parametrize("line", LOADED)
def test_what_is_known_is_left_out(line: str):
    assert logging_levels.NOISE.match(line.encode())


@pytest.mark.parametrize("line", ERRORS)
def test_every_other_line_is_passed_on(line: str):
    assert not logging_levels.NOISE.match(line.encode())


def test_an_import_that_fails_shows_its_traceback(tmp_path: Path):
    code = f"import os\nos.write(2, {HEADER + chr(10)!r}.encode())\nraise OSError('no libcudart')"
    done = python(IMPORT, PYTHONPATH=stand_in(tmp_path, code))
    assert done.returncode == 1 and HEADER not in done.stderr
    assert done.stderr.startswith("Traceback") and done.stderr.endswith("OSError: no libcudart\n")


@pytest.mark.parametrize(
    ("end", "number"),
    [
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getpid(), 9)", signal.SIGKILL),
        ("os.kill(os.getpid(), 15)", signal.SIGTERM),
        ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV),
    ],
)
def test_a_crash_leaves_its_last_words(end: str, number: int):
    words = f"{HEADER}\nF0000 00:00:1.5 9 env.cc:52] Check failed\nand half a li"
    done = python(within(f"os.write(2, {words!r}.encode())\n{end}"))
    assert done.returncode == -number
    assert done.stderr == words.removeprefix(f"{HEADER}\n")


def test_the_stack_of_a_crash_is_shown():
    code = within("import faulthandler; faulthandler.enable(); os.abort()")
    assert "Fatal Python error: Aborted" in python(code).stderr


def test_last_words_outlive_the_group_of_processes():
    """As trainer launch kills all that a dead worker leaves behind."""
    code = within("os.write(2, b'Check failed\\n'); os.killpg(0, 9)")
    command = [sys.executable, "-c", code]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, start_new_session=True, env=variables
    ) as process:
        assert process.stderr.read() == b"Check failed\n"


def test_lines_keep_their_order():
    code = "print('a', file=sys.stderr)\n" + within(
        "print('b', file=sys.stderr); os.write(2, b'c')"
    )
    done = python(f"import sys\n{code}\nprint('d', file=sys.stderr)")
    assert done.stderr == "a\nb\ncd\n"


def test_a_process_that_stays_is_not_waited_for():
    code = within("import subprocess; subprocess.Popen(['sh', '-c', 'sleep 4; echo late >&2'])")
    began = time.monotonic()
    done = python(f"{code}\nimport time; print(time.monotonic())")
    assert float(done.stdout) - began < 3 and done.stderr == "late\n"


def test_a_closed_stderr_stays_closed():
    program = ["sh", "-c", f'exec "{sys.executable}" -c "$0" 2>&-', f"{IMPORT}; print('done')"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_test_that_captures_still_captures(capfd: pytest.CaptureFixture):
    with logging_levels.stderr_without(logging_levels.NOISE):
        os.write(2, f"{HEADER}\nshown\n".encode())
    assert capfd.readouterr().err == "shown\n"


def test_it_costs_less_than_20_milliseconds():
    timed = textwrap.indent(f"began = time.perf_counter()\n{within('pass')}\n", "    ")
    seconds = "    seconds.append(time.perf_counter() - began)"
    done = python(
        f"import time\nseconds = []\nfor _ in range(9):\n{timed}{seconds}\nprint(min(seconds))"
    )
    assert float(done.stdout) < 0.02


@pytest.mark.parametrize(
    ("arguments", "verbosity"),
    [
        ([], 0),
        (["--verbosity=1"], 1),
        (["-v", "2"], 2),
        (["--verbosity", "-1", "x"], -1),
        (["--verbosity=1", "--verbosity=0"], 0),
        (["--verbosity=much"], 0),
        (["--verbosity"], 0),
        (["--version=3"], 0),
    ],
)
def test_the_command_line_tells_the_verbosity(arguments: list[str], verbosity: int):
    assert logging_levels.verbosity(arguments) == verbosity


@pytest.mark.slow
def test_a_whole_run_writes_nothing_to_stderr(phantoms: Path, tmp_path: Path):
    flags = {"data.path": phantoms, "data.image_size": 32, "train.epochs": 1, "model.width": 4}
    arguments = [f"--config.{name}={value}" for name, value in flags.items()]
    task = "import runpy; runpy.run_module('trainer.task', run_name='__main__', alter_sys=True)"
    done = python(task, f"--config={ROOT}/configs/demo.py", f"--workdir={tmp_path}/run", *arguments)
    assert done.returncode == 0 and done.stderr == ""
