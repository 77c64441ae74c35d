"""A sweep is checked against the config's fields, and always draws the same values for a trial."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from trainer.config import schema
from trainer.config.schema import default
from trainer.system.errors import UsageError
from trainer.tuning import search_space
from trainer.tuning.search_space import choice, integer, log_uniform, uniform

ROOT = Path(__file__).parents[2]
SWEEP = {
    "optimizer.learning_rate": log_uniform(1e-4, 1e-2),
    "model.dropout": uniform(0.0, 0.5),
    "model.blocks": integer(1, 3),
    "augment.horizontal_flip": choice(True, False),
    "loss.class_weights": choice("none", "balanced"),
}


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a config file whose sweep() has a body."""

    def write(body: str) -> Path:
        file = tmp_path / "recipe.py"
        file.write_text(f"from trainer.tuning.search_space import *\ndef sweep():\n  {body}\n")
        return file

    return write


def test_every_value_that_is_tried_lies_in_its_range_and_is_allowed():
    config = default().unlock()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    tried = []
    for _ in range(100):
        trial = study.ask()
        values = {path: SWEEP[path].suggest(trial, path) for path in SWEEP}
        assert all(SWEEP[path].contains(value) for path, value in values.items())
        assert isinstance(values["augment.horizontal_flip"], bool)
        for path, value in values.items():
            schema.check_field(path, value)
        config.update_from_flattened_dict(values)
        tried.append(values)
    rates = [values["optimizer.learning_rate"] for values in tried]
    assert 30 < sum(rate < 1e-3 for rate in rates) < 70  # uniform in its logarithm
    assert {values["model.blocks"] for values in tried} == {1, 2, 3}


def test_rounded_numbers_stay_within_the_ends():
    low, high = 0.123456, 0.123458
    trial = optuna.create_study().ask()
    assert low <= uniform(low, high).suggest(trial, "x") <= high


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("optimiser.learning_rate", uniform(0, 1), "did you mean 'optimizer.learning_rate'"),
        ("optimizer.learning_rate", uniform(0.0, 1.0), "optimizer.learning_rate=0.0 is not"),
        ("model.dropout", uniform(0.5, 1.0), "model.dropout=1.0 is not allowed"),
        ("model.dropout", uniform(0.5, 0.1), "the first number must be below the second"),
        ("model.dropout", log_uniform(0.0, 0.5), "log_uniform() starts above 0"),
        ("model.dropout", integer(0.1, 0.5), "the ends of integer() are whole numbers"),
        ("model.blocks", uniform(1, 3), "give integer(low, high) or choice"),
        ("model.channels", integer(1, 3), "it holds one of 1, 3: give choice"),
        ("model.name", choice("resnet", "artcle"), "did you mean 'article'"),
        ("train.epochs", choice(3), "two values or more"),
        ("train.epochs", choice(3, 3), "each once"),
        ("train.epochs", 3, "'train.epochs' has 3: give log_uniform(low, high)"),
        ("data.path", choice("a", "b"), "leave it out"),
        ("checkpoint.keep", integer(1, 3), "leave it out"),
        ("name", choice("a", "b"), "leave it out"),
    ],
)
def test_what_cannot_be_varied_is_refused_by_name_and_remedy(
    path: str, values: object, message: str
):
    with pytest.raises(UsageError) as refusal:
        search_space.check({path: values})
    assert message in str(refusal.value)
    assert path.rpartition(".")[2] in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_sweep_is_read_from_the_config_file(recipe: Callable[[str], Path]):
    file = recipe("return {'model.dropout': uniform(0, 0.5)}")
    assert search_space.read(file) == {"model.dropout": uniform(0, 0.5)}
    assert search_space.described(search_space.read(file)) == {"model.dropout": "uniform(0, 0.5)"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {}", "returns {}, no ranges"),
        ("return [uniform(0, 1)]", "no ranges: write def sweep(): return {"),
        ("return {'model.dropout': uniform(0)}", "TypeError: uniform() missing 1 required"),
        ("retrun 1", "SyntaxError"),
        ("raise ValueError('a\\nb')", "ValueError: a b"),
        ("return {'model.drop': uniform(0, 1)}", "recipe.py: the config has no field 'model.drop'"),
    ],
)
def test_a_sweep_that_cannot_be_read_is_told(
    recipe: Callable[[str], Path], body: str, message: str
):
    with pytest.raises(UsageError) as refusal:
        search_space.read(recipe(body))
    assert message in str(refusal.value) and "recipe.py" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_config_of_a_run_has_no_sweep():
    with pytest.raises(UsageError, match=r"^run/config.json has no sweep\(\)"):
        search_space.read("run/config.json")


def test_a_recipe_without_a_sweep_is_told_what_to_write():
    with pytest.raises(UsageError, match=r"article.py has no sweep\(\): add def sweep\(\): return"):
        search_space.read(ROOT / "configs" / "article.py")


@pytest.mark.parametrize("recipe_name", ["demo", "resnet"])
def test_the_recipes_sweeps_are_sound(recipe_name: str):
    assert len(search_space.read(ROOT / "configs" / f"{recipe_name}.py")) >= 3


def test_tensorflow_is_not_loaded():
    code = "import sys, trainer.commands.tune; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
