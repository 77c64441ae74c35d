"""Shows the config that a recipe gives, as a run would write it, and checks it as training does.

radiograph config resnet --config.train.epochs=30 >my.yaml   train with --config=my.yaml
radiograph config resnet --diff=RUN                          what differs from a run's
radiograph config resnet --search=rate                       fields by name and meaning
"""

import json
from collections.abc import Iterator, Sequence

import yaml
from absl import flags
from etils import epath
from ml_collections import ConfigDict

from trainer.commands import config_flags, path_flags, program
from trainer.commands.command import COMMANDS
from trainer.config import field_search, recipe, schema
from trainer.config.fields import FIELDS
from trainer.system import terminal
from trainer.system.errors import UsageError
from trainer.training import run_checks

_JSON = flags.DEFINE_bool("json", False, "prints JSON, in place of YAML")
_DIFF = path_flags.define_path("diff", None, "shows what differs from this RUN, or another recipe")
_SEARCH = flags.DEFINE_string("search", None, "shows fields by words of name, meaning and values")


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags; --config names the recipe too, as in the command line of a training."""
    given = config_flags.parse(argv)
    return [*given, config_flags.FILE.value] if config_flags.FILE.value else given


def main(argv: Sequence[str]) -> None:
    """Prints the config that the command line describes."""
    if _DIFF.value and _SEARCH.value:
        raise UsageError("--diff and --search are two questions: give one of them.")
    config = config_flags.read(path_flags.expand(argv[1]))
    schema.check(config)
    if "data.path" in config_flags.overrides():
        run_checks.check(config)
    if _DIFF.value:
        print(_difference(_recipe_of(_DIFF.value), config))
    elif _SEARCH.value:
        print("\n".join(_found(_SEARCH.value, config)))
    elif _JSON.value:
        print(json.dumps(config.to_dict(), indent=2))
    else:
        print(yaml.safe_dump(config.to_dict(), sort_keys=False), end="")


def _recipe_of(run: str) -> ConfigDict:
    """Returns the config of a run's folder, or a recipe's."""
    file = epath.Path(run) / "config.json"
    return recipe.read(str(file) if file.exists() else run)


def _difference(former: ConfigDict, config: ConfigDict) -> str:
    """Returns the fields that differ, as a table."""
    before, after = dict(schema.fields(former)), dict(schema.fields(config))
    differing = [path for path in FIELDS if before[path] != after[path]]
    if not differing:
        return "no field differs"
    rows = [(path, _text(before[path]), _text(after[path])) for path in differing]
    return terminal.aligned([("field", "there", "here"), *rows], left=1)


def _found(words: str, config: ConfigDict) -> Iterator[str]:
    values = dict(schema.fields(config))
    for path in field_search.find(words):
        yield f"{path} = {_text(values[path])}"
        yield f"    {FIELDS[path].meaning}: {FIELDS[path].allowed}"


def _text(value: object) -> str:
    """Returns a value as a flag takes it."""
    return json.dumps(value) if isinstance(value, bool) or value == "" else str(value)


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["config"], parse_flags)


if __name__ == "__main__":
    run()
