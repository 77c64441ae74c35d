"""A recipe is a Python file or the config.json of a run, also one of an earlier version."""

import json
from pathlib import Path

import pytest

from trainer.config import fields, recipe, schema
from trainer.system.errors import UsageError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    began = schema.default()
    began.train.epochs = 7
    file = tmp_path / "config.json"
    file.write_text(json.dumps(began.to_dict()))
    return file


def test_config_of_a_run_is_a_recipe(saved: Path):
    config = recipe.read(str(saved))
    assert config.train.epochs == 7 and config.is_locked


def test_field_that_a_run_is_older_than_has_its_default(saved: Path):
    content = json.loads(saved.read_text())
    del content["data"]["fit"]
    saved.write_text(json.dumps(content))
    assert recipe.read(str(saved)).data.fit == "squash"


def test_removed_field_of_an_older_run_is_ignored_with_one_warning(
    saved: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(fields.REMOVED, "summaries.clock", "pictures follow the epochs")
    content = json.loads(saved.read_text())
    content["summaries"]["clock"] = 0.5
    saved.write_text(json.dumps(content))
    assert "clock" not in recipe.read(str(saved)).summaries
    assert caplog.messages == ["summaries.clock is ignored: pictures follow the epochs."]


@pytest.mark.parametrize(
    "content", ["{", "[]", "3", '{"train": {"epoch": 3}}', '{"train": {"epochs": 0}}', None]
)
def test_what_is_no_config_is_refused_in_one_line(saved: Path, content: str | None):
    if content is None:
        saved.unlink()
    else:
        saved.write_text(content)
    with pytest.raises(UsageError) as refusal:
        recipe.read(str(saved))
    assert "\n" not in str(refusal.value)


GET_CONFIG = "from trainer.config.schema import default\ndef get_config(text='0'):\n    "


def test_text_after_the_colon_is_given_to_get_config(tmp_path: Path):
    body = "config = default()\n    config.seed = int(text)\n    return config"
    (tmp_path / "recipe.py").write_text(GET_CONFIG + body)
    assert recipe.read(f"{tmp_path}/recipe.py").seed == 0
    assert recipe.read(f"{tmp_path}/recipe.py:5").seed == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GET_CONFIG + "return 3", "returns 3"),
        (GET_CONFIG + "return {}['a\\nb']", "a.nb"),
        (GET_CONFIG + "config = default(); config.train.epoch = 3", "epoch"),
        ("", "no get_config"),
        ("retrun", "NameError"),
        (None, "neither a file nor a recipe"),
    ],
)
def test_python_file_that_gives_no_config_is_refused_in_one_line(
    tmp_path: Path, content: str | None, reason: str
):
    if content is not None:
        (tmp_path / "recipe.py").write_text(content)
    with pytest.raises(UsageError, match=reason) as refusal:
        recipe.read(f"{tmp_path}/recipe.py")
    assert "\n" not in str(refusal.value)


def test_name_of_no_recipe_is_refused_with_the_list_of_them():
    with pytest.raises(UsageError, match="=resnett is neither a file nor a recipe: .*, resnet"):
        recipe.read("resnett")
