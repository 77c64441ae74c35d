"""Trains a config with several seeds: `radiograph seeds --config=resnet --workdir=RUNS --seeds=5`.

A figure of one seed is partly luck. The runs are trained one after the other on this machine; the
same command again goes on where it was stopped, and with more --seeds adds some. RUNS/seeds.json
has each seed's figures on validation and test, their mean and standard deviation, and those of the
ensemble, the mean of the runs' calibrated log-odds.
"""

from collections.abc import Sequence

from absl import flags
from etils import epath, epy

from trainer.commands import config_flags, path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import atomic, tensorflow_import
from trainer.training import run_checks
from trainer.tuning import seeds

with epy.lazy_imports():  # TensorFlow
    from trainer.judge import seed_summary

RECORD = "seeds.json"

_WORKDIR = path_flags.define_path("workdir", "", "folder of the runs")
_SEEDS = flags.DEFINE_integer(
    "seeds", 5, "number of runs; the first has the config's own seed", lower_bound=1
)


def main(argv: Sequence[str]) -> None:
    """Trains the runs that the flags describe, and sums them up."""
    del argv
    config, workdir = config_flags.read(), epath.Path(_WORKDIR.value)
    run_checks.check(config)
    task_flags = config_flags.task_flags(program.verbosity())
    runs = seeds.run(config, task_flags=task_flags, workdir=workdir, seeds=_SEEDS.value)
    tensorflow_import.import_quietly()
    figures = seed_summary.summarize(runs)
    atomic.write_json(workdir / RECORD, figures)
    for split, rows in figures.items():
        print(f"{seed_summary.table(rows, split)}\n")
    print(f"figures: {workdir / RECORD}")


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["seeds"], config_flags.parse)


if __name__ == "__main__":
    run()
