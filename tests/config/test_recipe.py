"""A run's own config.json is a recipe like those in Python, with overrides."""

import json
from pathlib import Path

import pytest
from absl import flags

from trainer.config import recipe, schema
from trainer.system.errors import UsageError
from trainer.task import _CONFIG  # noqa: F401 (defines the flags that are parsed here)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    began = schema.default()
    began.train.epochs = 7
    file = tmp_path / "config.json"
    file.write_text(json.dumps(began.to_dict()))
    return file


# absl defines a flag for each field that is overridden, and takes none twice in a process.
@pytest.mark.parametrize(
    ("form", "field"),
    [
        (["--config={}"], "seed"),
        (["-config={}"], "model.width"),
        (["--config", "{}"], "model.blocks"),
    ],
)
def test_it_is_read_with_overrides(
    saved: Path, form: list[str], field: str, monkeypatch: pytest.MonkeyPatch
):
    argv = ["task", *(part.format(saved) for part in form), f"--config.{field}=3", "--workdir=x"]
    monkeypatch.setattr("sys.argv", argv)  # where ml_collections looks for overrides
    recipe.parse_flags(argv)
    read = dict(schema.fields(flags.FLAGS.config))
    assert (read["train.epochs"], read[field]) == (7, 3)


def test_a_run_older_than_a_field_has_its_default(saved: Path):
    content = json.loads(saved.read_text())
    del content["data"]["fit"]
    saved.write_text(json.dumps(content))
    recipe.parse_flags(["task", f"--config={saved}", "--workdir=x"])
    assert flags.FLAGS.config.data.fit == "squash"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"train": {"epoch": 3}}', '{"train": {"epochs": 0}}', None]
)
def test_what_is_no_config_is_refused_in_a_sentence(saved: Path, content: str | None):
    if content is None:
        saved.unlink()
    else:
        saved.write_text(content)
    with pytest.raises(UsageError) as refusal:
        recipe.parse_flags(["task", f"--config={saved}", "--workdir=x"])
    assert "\n" not in str(refusal.value)
