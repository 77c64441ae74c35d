"""Traces some training steps, and says what took the longest in them.

radiograph profile RUN                                          with the config of a run
radiograph profile --config=resnet --config.data.path=DATA      with a recipe's
"""

import shlex
from collections.abc import Sequence
from importlib.util import find_spec

from absl import flags
from etils import epath, epy

from trainer.commands import config_flags, path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import tensorflow_import, terminal
from trainer.system.errors import UsageError
from trainer.training import run_checks

with epy.lazy_imports():  # TensorFlow
    from trainer.training import trace

SHOWN, WIDTH = 10, 54  # with the figures a line has 79 columns

_OUT = path_flags.define_path("out", "profile", "folder that the trace is written to")
_STEPS = flags.DEFINE_integer("steps", 10, "training steps that are traced", 1, 1000)


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags; --config takes the place of a run."""
    given = config_flags.parse(argv)
    if config_flags.FILE.value and len(given) > 1:
        raise UsageError(f"give the run {given[1]} or --config, whose steps are traced, not both.")
    return [*given, config_flags.FILE.value] if config_flags.FILE.value else given


def main(argv: Sequence[str]) -> None:
    """Prints the table, and the command that shows the trace."""
    recipe, out = path_flags.expand(argv[1]), epath.Path(_OUT.value)
    if not config_flags.FILE.value:
        file = epath.Path(recipe) / "config.json"
        if not file.exists():
            raise UsageError(
                f"there is no run at {recipe}: give the work directory of one, or --config=RECIPE."
            )
        recipe = str(file)
    config = config_flags.read(recipe)
    run_checks.check(config)  # before TensorFlow is imported
    tensorflow_import.import_quietly()
    steps = _STEPS.value
    found = trace.trace_steps(config, out, steps)
    total = sum(operation.seconds for operation in found)
    rows = [
        (
            operation.name if len(operation.name) <= WIDTH else f"{operation.name[: WIDTH - 1]}…",
            f"{operation.times / steps:.3g}",
            f"{1000 * operation.seconds / steps:.3g}",
            f"{operation.seconds / total:.1%}",
        )
        for operation in found[:SHOWN]
    ]
    print(terminal.aligned([("operation", "times", "ms a step", "share"), *rows], left=1))
    plugin = find_spec("tensorboard_plugin_profile")
    install = "" if plugin else ", once scripts/setup.sh --profile has installed it"
    print(f"\nscripts/tensorboard.sh {shlex.quote(str(out))} shows it in the tab Profile{install}")


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["profile"], parse_flags)


if __name__ == "__main__":
    run()
