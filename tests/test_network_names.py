"""Names of networks are told apart, and a wrong one is refused before TensorFlow is loaded."""

from pathlib import Path

import pytest
from etils import epath

from trainer import network_names
from trainer.config import schema
from trainer.models import applications
from trainer.system.errors import UsageError


def test_every_network_of_keras_has_a_name():
    assert network_names.APPLICATIONS.keys() == applications.CONSTRUCTORS.keys()


@pytest.mark.parametrize("name", ["a.b:net", "net.py:net", "/x y/net.py:net", "gs://b/net.py:net"])
def test_ones_own_networks_are_named_with_a_function(name: str):
    schema.check_field("model.name", name)


@pytest.mark.parametrize("name", ["densenet", "net.py", ":f", "a b:c", ".py:f"])
def test_other_names_are_refused(name: str):
    with pytest.raises(UsageError, match="FILE.py:function"):
        schema.check_field("model.name", name)


def test_a_name_that_is_mistyped_finds_the_right_one():
    with pytest.raises(UsageError, match="did you mean 'densenet121'"):
        schema.parse("model.name", "densnet121")


@pytest.mark.parametrize(
    ("content", "function", "sentence"),
    [
        (None, "net", "there is no file"),
        ("def net(:", "net", "is not Python .*line 1"),
        ("def net(): pass", "network", "does not define it, but net"),
    ],
)
def test_a_file_without_the_network_is_refused(
    tmp_path: Path, content: str | None, function: str, sentence: str
):
    if content:
        (tmp_path / "net.py").write_text(content)
    with pytest.raises(UsageError, match=sentence):
        network_names.check(f"{tmp_path / 'net.py'}:{function}")


def test_a_run_keeps_its_network_and_refuses_another(tmp_path: Path):
    name, run = f"{tmp_path / 'net.py'}:net", epath.Path(tmp_path / "run")
    run.mkdir()
    (run / network_names.SOURCE).write_text("def net(): pass")
    network_names.check(name, run)  # the file itself is gone
    (tmp_path / "net.py").write_text("def net(): return 1")
    with pytest.raises(UsageError, match="is not what this work directory was begun with"):
        network_names.check(name, run)
