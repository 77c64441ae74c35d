"""A sweep is checked against the config's fields, and always draws the same values for a trial."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


def test_every_value_lies_in_its_range_and_is_allowed():
    config = default().unlock()
    for trial in range(200):
        values = search_space.draw(SWEEP, seed=0, trial=trial)
        assert 1e-4 <= values["optimizer.learning_rate"] <= 1e-2
        assert 0.0 <= values["model.dropout"] <= 0.5
        assert values["model.blocks"] in (1, 2, 3)
        assert isinstance(values["augment.horizontal_flip"], bool)
        for path, value in values.items():
            schema.check_field(path, value)
        config.update_from_flattened_dict(values)


@pytest.mark.parametrize("path", SWEEP)
def test_the_whole_range_is_drawn_from_evenly(path: str):
    drawn = [search_space.draw(SWEEP, seed=1, trial=trial)[path] for trial in range(600)]
    of = SWEEP[path]
    if of.kind in ("choice", "integer"):
        kinds = set(of.values) if of.kind == "choice" else {1, 2, 3}
        assert set(drawn) == kinds
        assert all(abs(drawn.count(v) / 600 - 1 / len(kinds)) < 0.1 for v in kinds)
    else:
        middle = math.sqrt(1e-4 * 1e-2) if of.kind == "log_uniform" else 0.25
        assert abs(sum(value < middle for value in drawn) / 600 - 0.5) < 0.1


def test_a_trials_values_depend_on_seed_and_number_alone():
    values = search_space.draw(SWEEP, seed=3, trial=5)
    assert search_space.draw(dict(reversed(SWEEP.items())), seed=3, trial=5) == values
    assert search_space.draw(SWEEP, seed=4, trial=5) != values
    assert search_space.draw(SWEEP, seed=3, trial=6) != values
    # As recorded: a sweep that was begun must go on with the same values after an update.
    assert values == {
        "augment.horizontal_flip": True,
        "loss.class_weights": "balanced",
        "model.blocks": 1,
        "model.dropout": 0.03203,
        "optimizer.learning_rate": 0.0001204,
    }


def test_rounded_numbers_stay_within_the_ends():
    low, high = 0.123456, 0.123458
    assert low <= search_space.Range("uniform", (low, high)).at(0.5) <= high


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
