"""The scripts set up, test and show what they are asked for, and refuse the rest in one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [*ROOT.glob("scripts/*.sh"), ROOT / "requirements/compile.sh", ROOT / ".ci/run"]


def put(file, text):
    """Writes an executable file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the scripts and pinned sets, in a folder whose name has a space."""
    root = tmp_path / "a checkout"
    for folder in ["scripts", "requirements"]:
        shutil.copytree(ROOT / folder, root / folder)
    shutil.copy(ROOT / "setup.py", root)
    return root


def run(script, *arguments, cwd, **environment):
    """Runs a script of a checkout from another folder."""
    return subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def path_of(folder, *tools):
    """Makes a folder that holds these tools alone, as the PATH of a script."""
    folder.mkdir()
    for tool in tools:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def test_scripts_are_valid_and_executable():
    for script in SCRIPTS:
        assert subprocess.run(["bash", "-n", str(script)]).returncode == 0, script
        assert os.access(script, os.X_OK), script


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"PYTHON": "/no/such/python"}, [], "PYTHON is '/no/such/python', which is no working"),
        ({"ACCELERATOR": "npu"}, [], "ACCELERATOR is 'npu', but must be cpu, gpu or tpu."),
        ({}, ["--tset"], "unknown argument '--tset': the options are --test, --profile, --export,"),
    ],
)
def test_setup_refuses_bad_input_in_one_line(checkout, tmp_path, environment, arguments, message):
    done = run(checkout / "scripts/setup.sh", *arguments, cwd=tmp_path, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_setup_without_a_suitable_python_is_refused(checkout, tmp_path):
    tools = ["bash", "dirname", "flock", "grep", "realpath", "sha256sum"]
    tools = path_of(tmp_path / "bin", *tools)
    put(tools / "python3.11", "#!/bin/sh\nexit 127\n")  # as a version manager leaves it
    done = run(checkout / "scripts/setup.sh", cwd=tmp_path, PATH=str(tools))
    assert done.returncode == 1
    assert "no working Python 3.11 to 3.13 found" in done.stderr


PYTHON_STUB = """#!/usr/bin/env bash
# Stands in for Python, venv and pip, and records in the file calls what is asked of them.
case "$*" in
  *'-c import sys'*) echo 'python 3.11' ;;
  *'-m venv'*)
    echo venv >>calls
    rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python
    ;;
  *install*--requirement*)
    echo pip >>calls
    [[ ! -e offline ]] || { echo 'ERROR: no network' && exit 1; }
    ;;
esac
"""


def test_setup_works_once_and_does_not_trust_an_unfinished_install(checkout, tmp_path):
    stub = tmp_path / "python"
    put(stub, PYTHON_STUB)
    calls = checkout / "calls"

    def setup(*arguments, **environment):
        calls.write_text("")
        environment = {"PYTHON": str(stub), **environment}
        done = run(checkout / "scripts/setup.sh", *arguments, cwd=tmp_path, **environment)
        return done, calls.read_text().split()

    (checkout / "offline").touch()
    done, called = setup()
    assert done.returncode == 1
    assert "pip says: no network" in done.stderr
    assert called == ["venv", "pip"]

    (checkout / "offline").unlink()
    done, called = setup()
    assert done.returncode == 0, done.stderr
    assert called == ["venv", "pip"], "a half-filled environment is made anew"
    assert setup()[1] == []
    assert setup("--test")[1] == ["pip"], "the test set is added"
    assert setup()[1] == [], "an environment with more than is asked for will do"
    assert setup("--test", "--profile")[1] == ["pip"], "and so is the profile's"
    assert setup("--profile")[1] == []
    assert setup(ACCELERATOR="gpu")[1] == ["venv", "pip"], "another TensorFlow is not laid on top"
    assert setup()[1] == [], "without a wish the accelerator stays"

    with open(checkout / "requirements/gpu.txt", "a") as file:
        file.write("another==1.0\n")
    assert setup()[1] == ["pip"], "new pins are installed"


@pytest.fixture
def tensorboard(checkout, tmp_path):
    """Runs scripts/tensorboard.sh where TensorBoard only prints its arguments."""
    (checkout / "scripts/setup.sh").write_text("#!/bin/sh\n")
    put(checkout / ".venv/bin/tensorboard", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    for folder in ("runs/one", "runs/two", "old runs/a,b"):
        (tmp_path / folder / "tensorboard/train").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    put(tmp_path / "old runs/a,b/tensorboard/events.out.tfevents.1.of-an-older-version", "")

    def call(*arguments):
        return run(checkout / "scripts/tensorboard.sh", *arguments, cwd=tmp_path)

    return call


EVERY_PICTURE = "--samples_per_plugin=images=1000"  # of the steps it would show ten
SHOWN = [
    (["runs/one/"], ["--logdir", "runs/one/tensorboard"]),
    (["runs/one", "--port", "0"], ["--logdir", "runs/one/tensorboard", "--port", "0"]),
    (["old runs/a,b"], ["--logdir", "old runs/a,b"]),
    (["runs"], ["--logdir", "runs"]),
    (
        ["runs/one", "./runs/two", "--port=0"],
        [
            "--logdir_spec",
            "runs/one:runs/one/tensorboard,runs/two:./runs/two/tensorboard",
            "--port=0",
        ],
    ),
    (["gs://b/run"], ["--logdir", "gs://b/run", "--load_fast=false"]),
    (
        ["gs://b/run", "runs"],
        ["--logdir_spec", "b/run:gs://b/run,runs:runs", "--load_fast=false"],
    ),
]
REFUSED = [
    (["--port=0"], "name the run to show"),
    (["nowhere"], "'nowhere' has no folder 'tensorboard', nor has a folder in it"),
    (["runs/one", "empty"], "'empty' has no folder 'tensorboard', nor has a folder in it"),
    (["runs/one", "old runs/a,b"], "'old runs/a,b' has a comma or a colon"),
]


def test_tensorboard_shows_a_run_a_folder_of_runs_or_several(tensorboard):
    for arguments, shown in SHOWN:
        done = tensorboard(*arguments)
        given = done.stdout.splitlines()
        assert EVERY_PICTURE in given, done.stderr
        assert [argument for argument in given if argument != EVERY_PICTURE] == shown
    for arguments, message in REFUSED:
        done = tensorboard(*arguments)
        assert done.returncode == 1
        assert message in done.stderr and done.stderr.count("\n") == 1


BEAM_TESTS = "tests/data/prepare/test_beam_backend.py"
TWO_AT_ONCE = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], [["-m", "not long", *TWO_AT_ONCE]]),
        (["-m", "not slow"], [["-m", "(not slow) and not long", *TWO_AT_ONCE]]),
        (
            ["-x", "-mslow or browser", "tests"],
            [["-m", "(slow or browser) and not long", "-x", "tests"]],
        ),
        (["--all"], [["-m", "", *TWO_AT_ONCE], [BEAM_TESTS]]),
        (["--all", "-m", "long"], [["-m", "long", *TWO_AT_ONCE]]),
        (["tests/data", "--all"], [["-m", "", "tests/data"]]),
    ],
)
def test_long_tests_and_those_of_beam_run_only_with_all(checkout, tmp_path, arguments, runs):
    (checkout / "scripts/setup.sh").write_text("#!/bin/sh\n")
    for name in (".venv/bin/python", ".venv/bin/lint-imports", ".venv-beam/bin/python"):
        put(checkout / name, '#!/bin/sh\n[ "$2" != pytest ] || printf \'%s|\' "$@" && echo\n')
    done = run(checkout / "scripts/test.sh", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    calls = [line.split("|")[2:-1] for line in done.stdout.splitlines() if line]
    assert calls == runs


@pytest.mark.parametrize("failing", [".venv", ".venv-beam"])
def test_tests_fail_where_those_of_beam_or_the_others_do(checkout, tmp_path, failing: str):
    (checkout / "scripts/setup.sh").write_text("#!/bin/sh\n")
    for venv in (".venv", ".venv-beam"):
        code = 3 if venv == failing else 0
        put(checkout / venv / "bin/python", f'#!/bin/sh\n[ "$2" != pytest ] || exit {code}\n')
    put(checkout / ".venv/bin/lint-imports", "#!/bin/sh\n")
    assert run(checkout / "scripts/test.sh", "--all", cwd=tmp_path).returncode == 3


# The package of each tool.
TESTS_NEED = {tool: tool for tool in ("chromium", "buildah", "debootstrap", "docker-registry")}
TESTS_NEED["dsrdump"] = "dcmtk"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
@pytest.mark.parametrize(
    ("installed", "works"),
    [([], True), (["chromium"], True), (["buildah", "debootstrap"], False), (TESTS_NEED, True)],
)
def test_ci_installs_the_tools_that_tests_need(checkout, tmp_path, installed, works):
    shutil.copytree(ROOT / ".ci", checkout / ".ci")
    (checkout / "scripts/test.sh").write_text("#!/bin/sh\necho tested $*\n")
    tools = ["bash", "cat", "dirname", "mktemp", "realpath", "rm", "sh"]
    tools = path_of(tmp_path / "bin", *tools)
    for tool in installed:
        (tools / tool).symlink_to(shutil.which("true"))
    end = "exit 0" if works else "echo no network; exit 100"
    put(tools / "apt-get", f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n{end}\n')

    done = run(checkout / ".ci/run", cwd=tmp_path, PATH=str(tools))

    assert (done.returncode, done.stdout) == (0, "tested --all\n"), done.stderr
    packages = [package for tool, package in TESTS_NEED.items() if tool not in installed]
    missing = " ".join(packages)
    if not missing:
        assert not (tmp_path / "calls").exists()
        return
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "update"
    if works:
        assert calls[1].startswith("install ") and calls[1].endswith(f" {missing}")
        assert done.stderr == ""
    else:
        assert len(calls) == 1
        assert done.stderr.startswith(
            f"no network\napt-get could not install {missing} (see above)"
        )


def test_the_roofline_is_what_peak_bandwidth_and_rings_of_links_allow():
    code = (
        "import roofline; device = roofline.Device(1e12, 1e11, 1e10, 1e9)\n"
        "for look_up in 1.9e11, 2.1e11:\n"
        "  step = roofline.Step(10, 2e12, 1e11, side=180, weights=250_000_000, look_up=look_up)\n"
        "  print('|'.join(roofline.cells('a', 'b', device, step)[4:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    # 2 s at the peak, in which the memory moves 2e11 bytes for the look-up; a ring of 8 takes
    # 0.175 s for 1 GB, one of 8 machines 0.219 s for an eighth.
    expected = "2000.00|1000.00|5|{}disk, host, none|1000.0|92%|84%|83%"
    rows = [expected.format("device, "), expected.format("")]
    assert done.stdout.splitlines() == rows, done.stderr
