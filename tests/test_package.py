"""The package, its pinned sets and its scripts, as somebody meets them who installs it."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import trainer

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.11", "3.12", "3.13"]
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("scripts/*.sh"), ROOT / "requirements/compile.sh", ROOT / ".ci/run"]
)


@pytest.fixture
def packaging(monkeypatch):
    """What setup.py hands to setuptools."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: given.update(kwargs))
    runpy.run_path(str(ROOT / "setup.py"))
    return given


@pytest.fixture
def checkout(tmp_path):
    """A copy of the scripts and pinned sets, in a folder whose name has a space."""
    root = tmp_path / "a checkout"
    for folder in ["scripts", "requirements"]:
        shutil.copytree(ROOT / folder, root / folder)
    return root


def lines(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(name, python):
    """The versions that a pinned set installs on Linux with this Python, by package."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for requirement in map(Requirement, lines(name)):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            package = canonicalize_name(requirement.name)
            assert package not in found, f"{name}.txt pins {package} twice for Python {python}"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[package] = specifier.version
    return found


def run(script, *arguments, cwd, **environment):
    """Runs a script of a checkout from another folder."""
    return subprocess.run(
        ["bash", str(script), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


IMPORT = """
import os, signal, sys

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return dict(os.environ), list(sys.meta_path), handlers

before = state()
import trainer
assert state() == before
"""


def test_importing_the_package_changes_nothing_and_loads_nothing():
    command = [sys.executable, "-X", "importtime", "-c", IMPORT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "trainer" in imported
    assert not [name for name in imported if name.startswith(("trainer.", "tensorflow", "keras"))]


def test_version_is_the_packages(packaging):
    assert packaging["version"] == trainer.__version__


def test_every_dependency_has_a_floor_and_a_ceiling(packaging):
    extras = [spec for extra in packaging["extras_require"].values() for spec in extra]
    for requirement in map(Requirement, packaging["install_requires"] + extras):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators in ({">=", "<"}, {"=="}), f"{requirement} is open-ended"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", ["cpu", "gpu", "tpu", "test", "profile"])
def test_pins_lie_within_the_ranges(packaging, extra, python):
    assert SpecifierSet(packaging["python_requires"]).contains(f"{python}.4")
    pinned = pins(extra, python)
    specs = packaging["extras_require"][extra]
    if extra not in ("test", "profile"):  # which go on top of another set
        specs = packaging["install_requires"] + specs
    for requirement in map(Requirement, specs):
        if requirement.marker is None or requirement.marker.evaluate(
            {"platform_machine": "x86_64"}
        ):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}, pinned {version}"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("other", ["cpu", "gpu", "tpu", "profile"])
@pytest.mark.parametrize("addition", ["test", "profile"])
def test_what_is_added_goes_with_every_other_set(addition, other, python):
    others = pins(other, python)
    for package, version in pins(addition, python).items():
        assert others.get(package, version) == version


@pytest.mark.parametrize("name", ["cpu", "gpu", "tpu", "test", "profile"])
def test_pinned_sets_hold_only_pins(name):
    # No indexes, links, paths or options: where to install from is the user's own setting.
    for line in lines(name):
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .+)?", line)
        assert "://" not in line


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_valid_and_executable(script):
    assert subprocess.run(["bash", "-n", str(ROOT / script)]).returncode == 0
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"PYTHON": "/no/such/python"}, [], "PYTHON is '/no/such/python', which is no working"),
        ({"ACCELERATOR": "npu"}, [], "ACCELERATOR is 'npu', but must be cpu, gpu or tpu."),
        ({}, ["--tset"], "unknown argument '--tset': the options are --test and --profile,"),
    ],
)
def test_setup_refuses_bad_input_in_one_line(checkout, tmp_path, environment, arguments, message):
    done = run(checkout / "scripts/setup.sh", *arguments, cwd=tmp_path, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_setup_without_a_suitable_python_says_so(checkout, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ["bash", "dirname", "flock", "grep", "realpath", "sha256sum"]:
        (tools / tool).symlink_to(shutil.which(tool))
    # As a version manager leaves them: there, but failing when called.
    (tools / "python3.11").write_text("#!/bin/sh\nexit 127\n")
    (tools / "python3.11").chmod(0o755)
    done = run(checkout / "scripts/setup.sh", cwd=tmp_path, PATH=str(tools))
    assert done.returncode == 1
    assert "no working Python 3.11 to 3.13 found" in done.stderr


PYTHON_STUB = """#!/usr/bin/env bash
# Stands in for Python, venv and pip: tells what is asked for in the file calls.
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
    stub.write_text(PYTHON_STUB)
    stub.chmod(0o755)
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
    stub = checkout / ".venv/bin/tensorboard"
    stub.parent.mkdir(parents=True)
    stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    stub.chmod(0o755)
    for folder in ("runs/one", "runs/two", "old runs/a,b"):
        (tmp_path / folder / "tensorboard/train").mkdir(parents=True)
    (tmp_path / "empty").mkdir()

    def call(*arguments):
        return run(checkout / "scripts/tensorboard.sh", *arguments, cwd=tmp_path)

    return call


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["runs/one/"], ["--logdir", "runs/one"]),
        (["runs/one", "--port", "0"], ["--logdir", "runs/one", "--port", "0"]),
        (["old runs/a,b"], ["--logdir", "old runs/a,b"]),
        (["runs"], ["--logdir", "runs"]),
        (
            ["runs/one", "./runs/two", "--port=0"],
            ["--logdir_spec", "runs/one:runs/one,runs/two:./runs/two", "--port=0"],
        ),
        (["gs://b/run"], ["--logdir", "gs://b/run", "--load_fast=false"]),
        (
            ["gs://b/run", "runs"],
            ["--logdir_spec", "b/run:gs://b/run,runs:runs", "--load_fast=false"],
        ),
    ],
)
def test_tensorboard_shows_a_run_a_folder_of_runs_or_several(tensorboard, arguments, shown):
    done = tensorboard(*arguments)
    assert done.stdout.splitlines() == shown, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the run to show"),
        (["--port=0"], "name the run to show"),
        (["nowhere"], "'nowhere' has no folder 'tensorboard', nor has a folder in it"),
        (["runs/one", "empty"], "'empty' has no folder 'tensorboard', nor has a folder in it"),
        (["runs/one", "old runs/a,b"], "'old runs/a,b' has a comma or a colon"),
    ],
)
def test_tensorboard_says_what_it_cannot_show(tensorboard, arguments, message):
    done = tensorboard(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


BEAM_TESTS = "tests/data/prepare/test_beam_backend.py"


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], [["-m", "not long"]]),
        (["-m", "not slow"], [["-m", "(not slow) and not long"]]),
        (
            ["-x", "-mslow or browser", "tests"],
            [["-m", "(slow or browser) and not long", "-x", "tests"]],
        ),
        (["--all"], [["-m", ""], [BEAM_TESTS]]),
        (["--all", "-m", "long"], [["-m", "long"]]),
        (["tests/data", "--all"], [["-m", "", "tests/data"]]),
    ],
)
def test_long_tests_and_those_of_beam_run_only_with_all(checkout, tmp_path, arguments, runs):
    (checkout / "scripts/setup.sh").write_text("#!/bin/sh\n")
    for name in (".venv/bin/python", ".venv/bin/lint-imports", ".venv-beam/bin/python"):
        stub = checkout / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text('#!/bin/sh\n[ "$2" != pytest ] || printf \'%s|\' "$@" && echo\n')
        stub.chmod(0o755)
    done = run(checkout / "scripts/test.sh", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    calls = [line.split("|")[2:-1] for line in done.stdout.splitlines() if line]
    assert calls == runs


TESTS_NEED = ["chromium", "buildah", "debootstrap", "docker-registry"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
@pytest.mark.parametrize("there", [[], ["chromium"], ["buildah", "debootstrap"], TESTS_NEED])
@pytest.mark.parametrize("works", [True, False])
def test_ci_installs_what_tests_need_and_is_not_there(checkout, tmp_path, there, works):
    shutil.copytree(ROOT / ".ci", checkout / ".ci")
    (checkout / "scripts/test.sh").write_text("#!/bin/sh\necho tested $*\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ["bash", "cat", "dirname", "mktemp", "realpath", "rm", "sh"]:
        (tools / tool).symlink_to(shutil.which(tool))
    for tool in there:
        (tools / tool).symlink_to(shutil.which("true"))
    apt = tools / "apt-get"
    end = "exit 0" if works else "echo no network; exit 100"
    apt.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n{end}\n')
    apt.chmod(0o755)

    done = run(checkout / ".ci/run", cwd=tmp_path, PATH=str(tools))

    assert (done.returncode, done.stdout) == (0, "tested --all\n"), done.stderr
    wanted = " ".join(tool for tool in TESTS_NEED if tool not in there)
    if not wanted:
        assert not (tmp_path / "calls").exists()
        return
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "update"
    if works:
        assert calls[1].startswith("install ") and calls[1].endswith(f" {wanted}")
        assert done.stderr == ""
    else:
        assert len(calls) == 1
        assert done.stderr.startswith(f"no network\napt-get could not install {wanted} (see above)")
