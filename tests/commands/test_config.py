"""The config of a recipe is printed as a run writes it, compared, searched, and refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl.testing import flagsaver
from etils import epath

from trainer.commands import config as command
from trainer.config import field_search, recipe, schema
from trainer.system.errors import UsageError


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    with flagsaver.flagsaver():
        yield


def shown(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    command.main(command.parse_flags(["config", *given]))
    return capsys.readouterr().out


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_printed_is_a_recipe_of_the_same_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
):
    file = tmp_path / f"mine.{form}"
    changes = ["--config.optimizer.learning_rate=1e-5", "--config.train.jit=on"]
    file.write_text(shown(capsys, "resnet", f"--json={form == 'json'}", *changes))
    again, expected = recipe.read(str(file)), recipe.read("resnet").unlock()
    expected.optimizer.learning_rate, expected.train.jit = 1e-5, "on"
    assert dict(schema.fields(again)) == dict(schema.fields(expected)) and again.is_locked


def test_yaml_by_hand_is_read_as_flags_are_and_may_leave_fields_out(tmp_path: Path):
    file = tmp_path / "mine.yml"
    file.write_text("train: {jit: on, ema: 0}\noptimizer:\n  learning_rate: 1e-3  # a text in YAML")
    config = recipe.read(str(file))
    assert (config.train.jit, config.train.ema, config.optimizer.learning_rate) == ("on", 0, 1e-3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: {epochs: many}", "'many'"),
        ("train: {epoch: 3}", "did you mean 'train.epochs'"),
        ("train: [1", "expected"),
        ("- 1", "TypeError|list"),
        ("train: &a {b: *a}", "cannot be read"),
        (None, "No such file"),
    ],
)
def test_yaml_that_is_no_config_is_refused_in_one_line(
    tmp_path: Path, text: str | None, reason: str
):
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=reason) as refusal:
        recipe.read(str(file))
    assert "\n" not in str(refusal.value)


def test_what_training_refuses_is_refused_with_its_sentence(phantoms: epath.Path):
    data = f"--config.data.path={phantoms}"
    for override, sentence in (
        ("--config.data.image_size=20", "too small for model.name=article"),
        ("--config.train.batch_size=4096", "is more than the 84 training images"),
        ("--config.data.path=nowhere", "holds no prepared data set"),
    ):
        with flagsaver.flagsaver(), pytest.raises(UsageError, match=sentence):
            command.main(command.parse_flags(["config", "article", data, override]))


def test_a_difference_names_each_field_with_the_value_of_a_run_and_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    saved = schema.default()
    saved.data.fit = "pad"
    (tmp_path / "config.json").write_text(json.dumps(saved.to_dict()))
    given = f"--config={tmp_path}/config.json", f"--diff={tmp_path}"
    assert shown(capsys, *given) == "no field differs\n"
    table = shown(capsys, *given, "--config.data.fit=crop", "--config.data.cache=none")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert rows == [["data.fit", "pad", "crop"], ["data.cache", "auto", "none"]]


def test_fields_are_found_by_words_of_name_meaning_and_values(capsys: pytest.CaptureFixture[str]):
    assert field_search.find("rotate") == ["augment.rotation_range"]
    assert field_search.find("Gradient norm") == ["optimizer.clip_norm"]
    assert "optimizer.name" in field_search.find("rmsprop")
    with pytest.raises(UsageError, match="--search=unheard is in the name"):
        field_search.find("unheard")
    assert "gradient norm; 0 is off" in shown(capsys, "resnet", "--search=clip")


def test_it_imports_no_tensorflow():
    code = (
        "import sys; sys.argv = ['radiograph config', 'demo', '--json']\n"
        "from trainer.commands import config\n"
        "try: config.run()\n"
        "finally: print('tensorflow' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "False\n")
    assert json.loads(done.stdout)["model"]["name"] == "resnet"
