"""Runs a recipe's sweep: `radiograph tune --config=configs/resnet.py --workdir=RUNS`.

The sweep() of the recipe says which fields vary over which values, see
trainer.tuning.search_space. Fields are overridden as for trainer.task. The trials run one after the
other; the same command again resumes the sweep, and with more --trials adds some. Started several
times, on machines that share the folder, it shares them.
"""

import shlex
from collections.abc import Sequence

from absl import flags
from etils import epath, epy

from trainer.commands import config_flags, path_flags, program, run_loggers
from trainer.commands.command import COMMANDS
from trainer.training import run_checks
from trainer.tuning import search_space

with epy.lazy_imports():  # Optuna
    from trainer.tuning import trials

_WORKDIR = path_flags.define_path("workdir", "", "folder of the trials")
_TRIALS = flags.DEFINE_integer(
    "trials", 8, "number of runs; the first has the recipe's own values", lower_bound=1
)


def main(argv: Sequence[str]) -> None:
    """Runs the trials that the flags describe, and shows how they compare."""
    del argv
    config, workdir = config_flags.read(), _WORKDIR.value
    run_checks.check_supervised(config, "tune")
    sweep = search_space.read(config_flags.FILE.value)
    run_checks.check(config)
    run_loggers.check(config, epath.Path(workdir))
    task_flags = [*config_flags.task_flags(program.verbosity()), "--show_test=false"]
    rows = trials.run(config, sweep, task_flags=task_flags, workdir=workdir, trials=_TRIALS.value)
    if rows:
        print(f"{trials.table(rows)}\n")
    print(f"HParams: scripts/tensorboard.sh {shlex.quote(workdir)}")


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["tune"], config_flags.parse)


if __name__ == "__main__":
    run()
