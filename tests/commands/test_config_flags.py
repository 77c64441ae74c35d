"""Every field of the config is a flag, and a wrong one is refused by name, value and remedy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl.testing import flagsaver

from trainer.commands import config_flags
from trainer.config import schema
from trainer.system.errors import UsageError

ARTICLE = f"--config={Path(__file__).parents[2]}/configs/article.py"


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    with flagsaver.flagsaver():
        yield


def test_fields_are_overridden_in_a_recipe_and_in_the_config_of_a_run(tmp_path: Path):
    run = tmp_path / "config.json"
    run.write_text(json.dumps({"train": {"epochs": 7}}))
    given = ["--config.seed=3", "--config.model.width", "5", "--noconfig.augment.jit_compile"]
    values = {"seed": 3, "model.width": 5, "augment.jit_compile": False}
    for file, epochs in ((ARTICLE, 25), (f"--config={run}", 7)):
        assert config_flags.parse(["task", *given, file]) == ["task"]
        fields = dict(schema.fields(config_flags.read()))
        assert {path: fields[path] for path in values} == values == config_flags.overrides()
        assert fields["train.epochs"] == epochs


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--config.train.epoch=3", ["'train.epoch'", "'train.epochs'"]),
        ("--config.optimiser.learning_rate=1", ["'optimizer.learning_rate'"]),
        ("--config.train.epochs=0", ["train.epochs", "'0'", "from 1 to 100000"]),
        ("--config.train.epochs=many", ["train.epochs", "'many'", "whole number"]),
        ("--config.train.batch_size=2.5", ["train.batch_size", "'2.5'", "whole number"]),
        ("--config.optimizer.name=adamx", ["optimizer.name", "adam, adamw", "mean 'adam"]),
        ("--config.optimizer.learning_rate=nan", ["optimizer.learning_rate", "above 0"]),
        ("--config.augment.horizontal_flip=perhaps", ["horizontal_flip", "true or false"]),
        ("--config.model.channels=2", ["model.channels", "1, 3"]),
        ("--config.model.dropout=1", ["model.dropout", "from 0 to below 1"]),
        ("--config.checkpoint.keep=0", ["checkpoint.keep", "at least 1"]),
    ],
)
def test_bad_override_is_refused_by_name_value_and_remedy(override: str, words: list[str]):
    with pytest.raises(UsageError) as refusal:
        config_flags.parse(["task", ARTICLE, override])
    assert all(word in str(refusal.value) for word in words) and "\n" not in str(refusal.value)


def test_missing_config_is_refused():
    config_flags.parse(["task", "--config.train.epochs=3"])
    with pytest.raises(UsageError, match="--config=FILE is missing"):
        config_flags.read()
