"""Recipes: a Python file with get_config(), such as configs/resnet.py, or a run's config.json."""

import runpy

from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.system import json_files
from trainer.system.errors import UsageError


def read(file: str) -> ConfigDict:
    """Returns the config that a recipe gives, locked.

    Args:
      file: FILE.py, FILE.py:TEXT for get_config(TEXT), or FILE.json; a JSON may be gs://.

    Raises:
      UsageError: if the file cannot be read, or a field is missing or holds what it may not.
    """
    config = _from_json(file) if file.endswith(".json") else _from_python(file)
    schema.check(config)
    return config.lock()


def _from_python(file: str) -> ConfigDict:
    path, separator, text = file.partition(".py:")
    try:
        get_config = runpy.run_path(path + separator.removesuffix(":"))["get_config"]
        config = get_config(text) if separator else get_config()
        if isinstance(config, ConfigDict):
            return config
        reason = f"get_config() returns {config!r}"
    except KeyError as error:
        reason = "it has no get_config()" if error.args == ("get_config",) else repr(error)
    except Exception as error:  # whatever a user's file may raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    raise UsageError(f"--config={file} cannot be read ({reason}): name a recipe.")


def _from_json(file: str) -> ConfigDict:
    saved = json_files.read(epath.Path(file), remedy="name the config.json of a run as --config")
    return schema.from_saved(saved)
