"""A user's own function, named in a config as package.module:function or FILE.py:function."""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from etils import epath

from trainer.system.errors import UsageError

FORM = "package.module:function or FILE.py:function"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of Keras' errors, for a terminal
RAISED = (Exception, SystemExit)  # what a user's function may raise, to be told in a sentence


def is_name(text: str) -> bool:
    """Returns whether a text has the form of a function's name."""
    return bool(re.fullmatch(r"(\w+(\.\w+)*|.+\.py):\w+", text))


def require(name: str, field: str) -> None:
    """Raises a UsageError unless the function's file defines it; a module is left to `load`.

    Args:
      name: of the function, see `FORM`.
      field: of the config that names it.
    """
    file, _, _ = name.rpartition(":")
    if file.endswith(".py"):
        read(name, field)


def read(name: str, field: str, file: epath.PathLike | None = None) -> str:
    """Returns the content of a function's file, which is not run.

    Args:
      name: of the function, FILE.py:function.
      field: of the config that names it.
      file: which holds it, where that is not the one in its name.

    Raises:
      UsageError: the file is not there, is not Python, or does not define the function.
    """
    own, _, function = name.rpartition(":")
    path = epath.Path(file or own)
    if not path.is_file():
        raise UsageError(f"{field}={name}: there is no file {path}: give {FORM}.")
    try:
        content = path.read_text()
        tree = ast.parse(content)
    except OSError as error:
        raise UsageError(f"{field}={name}: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{field}={name}: {path} is no text: give {FORM}.") from error
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(
            f"{field}={name}: {path} is not Python ({error.args[0]}{line})."
        ) from error
    if not {function, "*"} & {*_defined(tree)}:
        known = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        raise UsageError(
            f"{field}={name}: {path} does not define it, but {', '.join(known) or 'no function'}: "
            "name a function of it."
        )
    return content


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yields the names that a module may define, "*" for all those of another one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@cache
def load(name: str, field: str) -> Callable[..., Any]:
    """Returns the function, whose module is run once in a process.

    Args:
      name: of the function, see `FORM`.
      field: of the config that names it.

    Raises:
      UsageError: if it cannot be imported, or is no function.
    """
    require(name, field)
    place, _, function = name.rpartition(":")
    try:
        found = getattr(_module(place), function, None)
    except RAISED as error:
        sentence = f"{field}={name} cannot be imported ({reason(error)}): give {FORM}."
        raise UsageError(sentence) from error
    if not callable(found):
        raise UsageError(f"{field}={name}: {place} has no function {function}: give {FORM}.")
    return found


def check_unchanged(file: epath.Path, copy: epath.Path) -> None:
    """Raises a UsageError if a file, which may be gone, is not the copy that a run has of it."""
    if copy.exists() and file.exists():
        check_same(file, file.read_text(), copy, begun=copy.read_text())


def check_same(
    file: epath.PathLike, content: str, copy: epath.PathLike, *, begun: str | None
) -> None:
    """Raises a UsageError if what a file holds is not what its copy does; None is no copy."""
    if begun is not None and content != begun:
        raise UsageError(
            f"{file} is not what this work directory was begun with, which is in {copy}: bring "
            "that back, or name another --workdir."
        )


def reason(error: BaseException) -> str:
    """Returns in a line what a user's function has raised."""
    text = COLOURS.sub("", str(error))
    return f"{type(error).__name__}: {' '.join(text.split())}"


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    file = epath.Path(place)
    module = ModuleType(file.stem)
    module.__file__ = place
    exec(compile(file.read_text(), place, "exec"), module.__dict__)
    return module
