"""The config names what is wrong, what is allowed, and the closest match."""

from pathlib import Path

import pytest

from trainer.config import recipe, schema
from trainer.system.errors import UsageError
from trainer.task import _CONFIG  # noqa: F401 (defines the flags that are parsed here)

ROOT = Path(__file__).parents[2]


def parse(*overrides: str) -> None:
    argv = ["task", f"--config={ROOT}/configs/article.py", "--workdir=run", *overrides]
    recipe.parse_flags(argv)


def test_every_default_is_allowed():
    schema.check(schema.default())


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("--config.train.epoch=3", ["'train.epoch'", "'train.epochs'"]),
        ("--config.optimiser.learning_rate=1", ["'optimizer.learning_rate'"]),
        ("--config.train.epochs=0", ["train.epochs", "'0'", "from 1 to 100000"]),
        ("--config.train.epochs=many", ["train.epochs", "'many'", "whole number"]),
        ("--config.train.batch_size=2.5", ["train.batch_size", "'2.5'", "whole number"]),
        ("--config.optimizer.name=adamx", ["optimizer.name", "adam, adamw", "mean 'adam"]),
        ("--config.optimizer.learning_rate=-1", ["optimizer.learning_rate", "above 0"]),
        ("--config.optimizer.learning_rate=nan", ["optimizer.learning_rate", "above 0"]),
        ("--config.augment.horizontal_flip=perhaps", ["horizontal_flip", "true or false"]),
        ("--config.model.channels=2", ["model.channels", "1, 3"]),
        ("--config.data.cache=hots", ["data.cache", "mean 'host'"]),
        ("--config.data.fit=padd", ["data.fit", "squash, pad, crop", "mean 'pad'"]),
        ("--config.augment.compression_range=100", ["compression_range", "from 0 to 99"]),
    ],
)
def test_a_bad_override_is_refused_by_name_value_and_remedy(override: str, said: list[str]):
    with pytest.raises(UsageError) as refusal:
        parse(override)
    for words in said:
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_config_file_is_refused():
    with pytest.raises(UsageError, match="--config"):
        recipe.parse_flags(["task", "--workdir=run", "--config.train.epochs=3"])


def test_a_bad_value_inside_a_config_file_is_refused():
    changed = schema.default()
    changed.train.epochs = 0
    with pytest.raises(UsageError, match=r"train\.epochs"):
        schema.check(changed)


def test_a_run_is_not_taken_up_with_other_numbers():
    begun = schema.default().to_dict()
    changed = schema.default()
    changed.data.cache = "none"
    schema.check_same_run(changed, begun)
    changed.optimizer.learning_rate = 0.5
    with pytest.raises(UsageError, match=r"optimizer\.learning_rate=0\.001, not 0\.5"):
        schema.check_same_run(changed, begun)


def test_a_run_older_than_a_field_goes_on_at_the_fields_default():
    begun = schema.default().to_dict()
    del begun["data"]["fit"]
    now = schema.default()
    schema.check_same_run(now, begun)
    now.data.fit = "crop"
    with pytest.raises(UsageError, match=r"data\.fit='squash', not 'crop'"):
        schema.check_same_run(now, begun)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("profile.steps", "10,20", "20,10"),
        ("profile.steps", "0,1", "10"),
        ("report.references", "the article accuracy=0.9", "accuracy=0.9"),
        ("report.references", "a auc=0.9; b auc=0.8 sensitivity=1", "a auc=90"),
    ],
)
def test_texts_of_a_form_are_checked(path: str, good: str, bad: str):
    given = schema.default()
    given.update_from_flattened_dict({path: good})
    schema.check(given)
    given.update_from_flattened_dict({path: bad})
    with pytest.raises(UsageError, match=f"{path}=.*is not allowed"):
        schema.check(given)
