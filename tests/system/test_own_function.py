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
        ("broken.py:loss", "ZeroDivisionError: division by zero"),
        ("exits.py:loss", "SystemExit: 3"),
        ("folder.py:loss", "there is no file "),
        ("image.py:loss", "image.py is no text: give"),
    ],
)
def test_functions_that_are_not_there_are_refused(name: str, sentence: str, tmp_path: Path):
    (tmp_path / "broken.py").write_text("loss = 1 / 0\n")
    (tmp_path / "exits.py").write_text("loss = exit(3)\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "image.py").write_bytes(b"\xff\xd8")
    there = (tmp_path / name.rpartition(":")[0]).exists()
    with pytest.raises(UsageError) as refused:
        own_function.load(f"{tmp_path}/{name}" if there else name, "loss.name")
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("def loss(: pass", "is not Python .*line 1"),
        ("def other(): pass", "does not define it, but other: name a function of it"),
        ("def loss(): pass", None),
        ("loss = lambda labels, logits: logits", None),
        ("from math import sqrt as loss", None),
        ("from math import *", None),
        ("if True:\n    def loss(): 1 / 0", None),
    ],
)
def test_a_file_is_read_for_its_function_without_being_run(
    tmp_path: Path, content: str, fault: str | None
):
    (tmp_path / "own.py").write_text(content)
    name = f"{tmp_path / 'own.py'}:loss"
    if fault is None:
        own_function.require(name, "loss.name")
    else:
        with pytest.raises(UsageError, match=f"loss.name={name}: .*{fault}"):
            own_function.require(name, "loss.name")


def test_what_a_function_has_raised_is_a_line_without_colours():
    assert own_function.reason(ValueError("\x1b[1mno\n such\x1b[0m layer")) == (
        "ValueError: no such layer"
    )
