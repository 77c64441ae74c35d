"""The program `radiograph`, also `python -m trainer`: runs the command that is named first."""

import os
import signal
import sys
from importlib import import_module
from types import ModuleType

from trainer.commands.command import COMMANDS


def main() -> None:
    """Runs a command with the arguments after its name; without one, lists them all."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if not name or name.strip("-") in ("h", "help", "helpfull"):
        try:
            print(_listing(), flush=True)
        except BrokenPipeError:  # nobody reads on, as of `radiograph | head`
            os._exit(128 + signal.SIGPIPE)
    elif name in COMMANDS:
        sys.argv = [f"radiograph {name}", *sys.argv[2:]]
        _module(name).run()
    else:
        known = ", ".join(COMMANDS)
        print(f"error: {name!r} is not a command: give one of {known}.", file=sys.stderr)
        sys.exit(2)


def _listing() -> str:
    lines = ["radiograph COMMAND --FLAG=VALUE ...; radiograph COMMAND --help lists the flags", ""]
    for name, command in COMMANDS.items():
        lines += [f"{name:<8}  {command.purpose}", command.example_lines(" " * 10)]
    return "\n".join(lines)


def _module(name: str) -> ModuleType:
    try:
        return import_module(COMMANDS[name].module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("trainer"):
            raise
        print(
            f"error: {sys.executable} has no {error.name}: run scripts/setup.sh, then "
            "`. .venv/bin/activate`, and give the command again.",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
