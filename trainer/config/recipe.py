"""The recipe that a command line names: `--config=configs/resnet.py`, or a run's config.json.

ml_collections reads Python alone, so a JSON is led to this file, whose `get_config` reads it.
"""

import json
from collections.abc import Sequence

from absl import flags
from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.system.errors import UsageError


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses `--config=FILE --config.a.b=value ...`, refusing what is not a field or a value.

    FILE is a recipe in Python, or the config.json of a run. Every override is looked at before it
    is read, since ml_collections answers a name that it does not know with a traceback.
    """
    if not any(a.split("=")[0].lstrip("-") == "config" for a in argv):
        raise UsageError("--config=FILE is missing: name a recipe such as configs/resnet.py.")
    for argument in argv[1:]:
        name, has_value, text = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name.startswith("config."):
            schema.check_text(name.removeprefix("config."), text if has_value else None)
    try:
        rest = flags.FLAGS(_led_here(argv))
        schema.check(flags.FLAGS.config)
    except (OSError, KeyError, AttributeError, TypeError, ValueError, SyntaxError) as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise UsageError(
            f"--config cannot be read: {lines[-1].strip() if lines else error!r}."
        ) from error
    return rest


def get_config(file: str) -> ConfigDict:
    """Returns the config that a run was begun with; fields that its JSON lacks have their default.

    Args:
      file: a run's config.json, local or gs://.

    Raises:
      UsageError: if it is no JSON.
    """
    text = epath.Path(file).read_text()
    try:
        saved = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--config={file} is no JSON ({error}): name a run's config.json."
        ) from error
    begun = schema.default()
    begun.update(saved)
    return begun


def _led_here(argv: Sequence[str]) -> list[str]:
    """Returns the command line with `THIS FILE:FILE` for a --config=FILE that is JSON."""
    led = list(argv)
    for number, argument in enumerate(led):
        name, _, file = argument.partition("=")
        if name.startswith("-") and name.lstrip("-") == "config" and file.endswith(".json"):
            led[number] = f"{name}={__file__}:{file}"
        elif led[number - 1].lstrip("-") == "config" and argument.endswith(".json"):
            led[number] = f"{__file__}:{argument}"
    return led
