"""Every flag for a path takes ~ for the user's home folder, which shells leave in --out=~/x."""

import sys
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from trainer import task  # noqa: F401 (defines --workdir)
from trainer.commands import audit, config_flags, path_flags, prepare, report
from trainer.system.errors import UsageError

RECIPE = f"--config={Path(__file__).parents[2]}/configs/demo.py"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/ada")


@pytest.mark.parametrize("command", [prepare, audit, report])
def test_flags_of_commands_know_the_home_folder(command):
    values = flags.FlagValues()
    command.define_flags(values)
    names = [name for name in ("source", "out", "image_root", "image") if name in values]
    values(["command", *(f"--{name}=~/x" for name in names)])
    assert len(names) >= 2
    assert {name: values[name].value for name in names} == {
        name: ["/home/ada/x"] if name == "image" else "/home/ada/x" for name in names
    }


def test_workdir_and_data_of_a_run_know_the_home_folder():
    with flagsaver.flagsaver():
        config_flags.parse(["task", RECIPE, "--workdir=~/run", "--config.data.path=~/data"])
        assert flags.FLAGS.workdir == "/home/ada/run"
        assert config_flags.read().data.path == "/home/ada/data"


@pytest.mark.parametrize(
    "name", ["phantom:60", "gs://bucket/~", "a~", "./~/x", "", "~nobody-known"]
)
def test_other_names_stay_as_they_are(name: str):
    assert path_flags.expand(name) == name


def test_a_user_without_a_home_folder_is_told(monkeypatch: pytest.MonkeyPatch):
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(sys.modules["pwd"], "getpwuid", unknown)
    with pytest.raises(UsageError, match=r"^~/x cannot be found, as this user has no home folder"):
        path_flags.expand("~/x")
