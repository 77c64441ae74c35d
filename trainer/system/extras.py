"""Extras: packages that some commands and loggers need besides, which a user asks for by name."""

from importlib.util import find_spec

from trainer.system.errors import UsageError


def require(extra: str, *modules: str, purpose: str) -> None:
    """Raises a UsageError with the command that installs an extra, unless its modules are there.

    Nothing is imported.

    Args:
      extra: its name in setup.py.
      modules: that it brings.
      purpose: what needs them, the start of the sentence.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"{purpose} needs {', '.join(missing)}, which is not installed: give pip install "
            f"'radiograph-trainer[{extra}]', or scripts/setup.sh --{extra} in a checkout."
        )
