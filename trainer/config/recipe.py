"""Recipes: Python with get_config(), such as configs/resnet.py, a run's config.json, or YAML."""

import runpy
from pathlib import Path

import yaml
from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.system import json_files
from trainer.system.errors import UsageError

YAML = (".yaml", ".yml")
PACKAGE = Path(__file__).resolve().parents[1]
# The wheel has them inside the package.
FOLDER = next(filter(Path.is_dir, (PACKAGE.parent / "configs", PACKAGE / "configs")), PACKAGE)


def read(file: str) -> ConfigDict:
    """Returns the config that a recipe gives, locked.

    Args:
      file: FILE.py, FILE.py:TEXT for get_config(TEXT), FILE.json or FILE.yaml, which may be gs://,
        or the name of a recipe of this package, such as "resnet".

    Raises:
      UsageError: if the file cannot be read, or a field is missing or holds what it may not.
    """
    if file.endswith(".json"):
        config = _from_json(file)
    elif file.endswith(YAML):
        config = _from_yaml(file)
    else:
        config = _from_python(path_of(file))
    schema.check(config)
    return config.lock()


def path_of(file: str) -> str:
    """Returns the path of the recipe that `file` names; a path is returned as it is."""
    name, separator, text = file.partition(":")
    return f"{FOLDER / name}.py{separator}{text}" if name in names() else file


def names() -> list[str]:
    """Returns the names of the recipes of this package."""
    return sorted(recipe.stem for recipe in FOLDER.glob("[!_]*.py"))


def _from_python(file: str) -> ConfigDict:
    path, separator, text = file.partition(".py:")
    path, known = path + separator.removesuffix(":"), ", ".join(names())
    if not Path(path).exists():
        raise UsageError(f"--config={file} is neither a file nor a recipe: give one of {known}.")
    try:
        get_config = runpy.run_path(path)["get_config"]
        config = get_config(text) if separator else get_config()
        if isinstance(config, ConfigDict):
            return config
        reason = f"get_config() returns {config!r}"
    except KeyError as error:
        reason = "it has no get_config()" if error.args == ("get_config",) else repr(error)
    except Exception as error:  # whatever a user's file may raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    raise UsageError(f"--config={file} cannot be read ({reason}): name a recipe, one of {known}.")


def _from_json(file: str) -> ConfigDict:
    saved = json_files.read(epath.Path(file), remedy="name the config.json of a run as --config")
    return schema.from_saved(saved)


def _from_yaml(file: str) -> ConfigDict:
    """Returns the config of a YAML file, whose values are read like those of flags.

    YAML 1.1 would take `on` for true, and 1e-3 for a text.
    """
    with json_files.damage_reported(file, "give a file as `radiograph config` prints it"):
        try:
            return schema.from_text(yaml.load(epath.Path(file).read_text(), yaml.BaseLoader))
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error
