"""Runs a config's sweep: `python -m trainer tune --config=configs/resnet.py --workdir=RUNS`.

The config file says in its sweep() what is varied, see trainer.tuning.search_space. Fields are
overridden as for trainer.task. The trials run one after the other on this machine; the same command
again goes on where the sweep stopped, and with more --trials it adds some.
"""

import shlex
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from trainer.commands import program
from trainer.config import recipe
from trainer.tuning import search_space, trials

_CONFIG = config_flags.DEFINE_config_file("config", None, "recipe, such as configs/resnet.py")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the trials", required=True)
_TRIALS = flags.DEFINE_integer(
    "trials", 8, "how many runs, of which the first has the config's own values", lower_bound=1
)


def task_flags() -> list[str]:
    """Returns the flags that give trainer.task the config of the command line."""
    flag = flags.FLAGS["config"]
    given = [f"--config={config_flags.get_config_filename(flag)}"]
    overrides = config_flags.get_override_values(flag)
    given += [f"--config.{path}={value}" for path, value in overrides.items()]
    return [*given, f"--verbosity={program.verbosity()}"]


def main(argv: Sequence[str]) -> None:
    """Runs the trials that the flags describe, and shows how they compare."""
    del argv
    varied = search_space.read(config_flags.get_config_filename(flags.FLAGS["config"]))
    workdir = _WORKDIR.value
    rows = trials.run(_CONFIG.value, varied, task_flags(), workdir, _TRIALS.value)
    print(f"{trials.table(rows)}\n\nHParams: scripts/tensorboard.sh {shlex.quote(workdir)}")


if __name__ == "__main__":
    program.run(main, recipe.parse_flags)
