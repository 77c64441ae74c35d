"""The package and its pinned sets, as somebody meets them who installs it."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.11", "3.12", "3.13"]
SETS = ["cpu", "gpu", "tpu", "test", "profile"]
ADDITIONS = ["test", "profile"]  # which are installed on top of another set


@pytest.fixture
def packaging(monkeypatch):
    """The arguments that setup.py gives to setuptools."""
    arguments = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: arguments.update(given))
    runpy.run_path(str(ROOT / "setup.py"))
    return arguments


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


def test_every_dependency_has_a_floor_and_a_ceiling(packaging):
    extras = [spec for extra in packaging["extras_require"].values() for spec in extra]
    for requirement in map(Requirement, packaging["install_requires"] + extras):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators in ({">=", "<"}, {"=="}), f"{requirement} is open-ended"


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_lie_within_the_ranges_and_additions_fit_every_set(packaging, python):
    assert SpecifierSet(packaging["python_requires"]).contains(f"{python}.4")
    pinned = {name: pins(name, python) for name in SETS}
    for name in SETS:
        requirements = packaging["extras_require"][name]
        if name not in ADDITIONS:
            requirements = packaging["install_requires"] + requirements
        for requirement in map(Requirement, requirements):
            marker = requirement.marker
            if marker is None or marker.evaluate({"platform_machine": "x86_64"}):
                version = pinned[name][canonicalize_name(requirement.name)]
                assert requirement.specifier.contains(version), f"{requirement}, pinned {version}"
    for addition in ADDITIONS:
        for package, version in pinned[addition].items():
            assert {pinned[name].get(package, version) for name in SETS} == {version}


@pytest.mark.parametrize("name", SETS)
def test_pinned_sets_hold_only_pins(name):
    # No indexes, links, paths or options: where to install from is the user's own setting.
    for line in lines(name):
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .+)?", line)
        assert "://" not in line
