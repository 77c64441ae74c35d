"""The flags of a run's config: --config=FILE, and one for each field that overrides it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from trainer.commands import path_flags
from trainer.commands.command import COMMANDS, Command
from trainer.config import recipe, schema
from trainer.config.field import Field
from trainer.config.fields import FIELDS, REMOVED
from trainer.system.errors import UsageError
from trainer.training.run_paths import VERTEX_FOLDERS

FILE = path_flags.define_path(
    "config", None, "recipe: a name such as resnet, a FILE.py or FILE.yaml, or a run's config.json"
)
# Fields that may begin with a "~".
PATHS = ("data.path", "model.name", "model.weights", "loss.name", "augment.extra")


class _FieldParser(flags.ArgumentParser):
    """Reads the value of one field."""

    def __init__(self, path: str):
        self._path = path

    def parse(self, argument: Any) -> Any:
        return schema.parse(self._path, argument)

    def flag_type(self) -> str:
        return FIELDS[self._path].allowed


def _define(path: str, field: Field) -> flags.FlagHolder:
    serializer: flags.ArgumentSerializer[Any] = flags.ArgumentSerializer()
    boolean = isinstance(field.default, bool)
    parser, name = _FieldParser(path), f"config.{path}"
    flag = flags.Flag(parser, serializer, name, None, field.meaning, boolean=boolean)
    return flags.DEFINE_flag(flag)


_FIELDS = {path: _define(path, field) for path, field in FIELDS.items()}
_REMOVED = {
    path: flags.DEFINE_string(f"config.{path}", None, f"ignored: {reason}")
    for path, reason in REMOVED.items()
    if path not in FIELDS
}


def define_task_flags() -> None:
    """Defines the flags of trainer.task that are no fields of the config."""
    path_flags.define_path("workdir", None, "folder that the run is written to")
    flags.DEFINE_bool("show_test", True, "prints the metrics of the test split at the end")


def parse(argv: Sequence[str]) -> Sequence[str]:
    """Parses flags as absl does, but names the closest field where there is none of a name."""
    try:
        return flags.FLAGS(list(argv))
    except flags.UnrecognizedFlagError as error:
        if error.flagname.startswith("config."):
            raise UsageError(schema.unknown(error.flagname.removeprefix("config."))) from None
        raise


def training(environment: Mapping[str, str]) -> Command:
    """Returns the command `train`, which needs no --workdir where Vertex AI's environment has it.

    Args:
      environment: the process's environment variables.
    """
    command = COMMANDS["train"]
    if {*VERTEX_FOLDERS} & {*environment}:
        command = replace(command, needed=["config"])
    return command


def overrides() -> dict[str, Any]:
    """Returns the fields that the command line sets, and their values."""
    return {path: flag.value for path, flag in _FIELDS.items() if flag.value is not None}


def task_flags(verbosity: int) -> list[str]:
    """Returns the flags that give trainer.task the config of the command line."""
    fields = [f"--config.{path}={value}" for path, value in overrides().items()]
    return [f"--config={FILE.value}", *fields, f"--verbosity={verbosity}"]


def read(file: str | None = None) -> ConfigDict:
    """Returns the config that the command line describes.

    Args:
      file: the recipe; by default that of --config.

    Raises:
      UsageError: if there is no --config, or it cannot be read.
    """
    file = file or FILE.value
    if not file:
        raise UsageError("--config=FILE is missing: name a recipe such as resnet.")
    config = recipe.read(file)
    config.update_from_flattened_dict(overrides())
    for path in PATHS:
        group, leaf = path.split(".")
        config[group][leaf] = path_flags.expand(config[group][leaf])
    for path, flag in _REMOVED.items():
        if flag.present:
            schema.warn_of_removed(path)
    return config
