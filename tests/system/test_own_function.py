"""A user's own function is found in a module or a file, or refused in one sentence."""

from pathlib import Path

import pytest

from trainer.system import own_function
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("numpy.linalg:norm", True),
        ("my losses/own.py:tversky", True),
        ("focal", False),
        ("own.py", False),
        ("own.py:", False),
        ("a b:c", False),
    ],
)
def test_names_have_a_module_or_a_file_and_a_function(text: str, named: bool):
    assert own_function.is_name(text) == named


def test_functions_come_from_modules_and_files(tmp_path: Path):
    file = tmp_path / "own.py"
    file.write_text("def double(x):\n    return 2 * x\n")
    assert own_function.load(f"{file}:double", "loss.name")(3) == 6
    assert own_function.load("math:sqrt", "loss.name")(9) == 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere.py:loss", "loss.name=nowhere.py:loss: there is no file nowhere.py: give"),
        ("no_such_module:loss", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("math:nothing", "math has no function nothing"),
        ("math:pi", "math has no function pi"),
        ("BROKEN:loss", "ZeroDivisionError: division by zero"),
    ],
)
def test_functions_that_are_not_there_are_refused(name: str, sentence: str, tmp_path: Path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(UsageError) as refused:
        own_function.load(name.replace("BROKEN", str(broken)), "loss.name")
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
