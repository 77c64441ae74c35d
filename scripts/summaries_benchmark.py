"""Measures what it costs to look at a run while it trains.

    python scripts/summaries_benchmark.py --source=chest_xray.zip [--recipes=demo,article]

Each recipe is trained with its summaries and with --config.summaries.times=0, which writes
scalars and texts alone, in turn and --pairs times; which goes first changes from pair to pair.
Other flags of the two sides compare something else, such as trackers:

    WANDB_MODE=offline python scripts/summaries_benchmark.py \\
        --with_flags=--config.loggers=tensorboard,mlflow,wandb \\
        --without_flags=--config.loggers=tensorboard

Training is timed from the start of the first file of events, before anything is compiled, to the
last scalar of the last epoch, after all that the epoch shows; the processor's time is that of the
whole process and its own. The median of the pairs counts.
"""

import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from trainer.commands import program
from trainer.commands.command import Command

ROOT = Path(__file__).resolve().parents[1]
LAST = "speed/share_of_pictures"  # is written at the end of each epoch, after all that it shows


class Cost(NamedTuple):
    """What a run took: seconds of its training, and of the processor for all of it."""

    training: float
    processor: float


def train(run: Path, arguments: Sequence[str]) -> Cost:
    """Trains in a process of its own and returns what that took."""
    before = _processor_seconds()
    module = (sys.executable, "-m", "trainer.task", f"--workdir={run}")
    done = subprocess.run(
        [*module, *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(done.returncode)
    return Cost(training_seconds(run), _processor_seconds() - before)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def training_seconds(run: Path) -> float:
    """Returns the time from the start of a run's training to the end of its last epoch."""
    files = sorted((run / "tensorboard/train").glob("events.*"))
    events = [event for file in files for event in EventFileLoader(str(file)).Load()]
    ends = [e.wall_time for e in events if any(v.tag == LAST for v in e.summary.value)]
    return ends[-1] - events[0].wall_time


def measure(recipe: str, data: Path, runs: Path) -> list[tuple[Cost, Cost]]:
    """Returns what training took with and without, a pair each time."""
    fields = {"data.path": data, "checkpoint.keep": 1}
    if flags.FLAGS.epochs:
        fields["train.epochs"] = flags.FLAGS.epochs
    arguments = [f"--config={ROOT / 'configs' / recipe}.py"]
    arguments += [f"--config.{name}={value}" for name, value in fields.items()]
    pairs = []
    for number in range(flags.FLAGS.pairs):
        given = {"with": flags.FLAGS.with_flags, "without": flags.FLAGS.without_flags}
        costs = {}
        for side in sorted(given, reverse=number % 2 == 1):
            run = runs / f"{Path(recipe).name}-{number}-{side}"
            costs[side] = cost = train(run, [*arguments, *shlex.split(given[side])])
            print(
                f"  {recipe}, {side}: {cost.training:.1f} s, processor {cost.processor:.1f} s",
                file=sys.stderr,
            )
        pairs.append((costs["with"], costs["without"]))
    return pairs


def main(argv: Sequence[str]) -> None:
    """Prints a row a recipe."""
    del argv
    given, rows = flags.FLAGS, []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        data = Path(folder) / "data"
        prepare = (sys.executable, "-m", "trainer", "prepare", "--noaudit")
        done = subprocess.run(
            [*prepare, f"--source={given.source}", f"--out={data}"], check=False, cwd=ROOT
        )
        if done.returncode:
            sys.exit(done.returncode)  # it has said why
        for recipe in given.recipes:
            rows.append((recipe, measure(recipe, data, Path(folder))))
    print(f"\n{given.source}, medians of {given.pairs} pairs")
    for column, title in ((0, "training, s"), (1, "processor, s")):
        print(f"{title:<20}{'with':>10}{'without':>10}{'ratio':>8}{'overhead':>10}")
        for recipe, pairs in rows:
            values = [(with_[column], without[column]) for with_, without in pairs]
            with_, without = (statistics.median(side) for side in zip(*values, strict=True))
            ratio = statistics.median(a / b for a, b in values)
            print(f"{recipe:<20}{with_:>10.1f}{without:>10.1f}{ratio:>8.3f}{ratio - 1:>10.1%}")


if __name__ == "__main__":
    flags.DEFINE_string("source", "phantom:1800", "as of radiograph prepare")
    flags.DEFINE_list("recipes", ["demo", "article"], "files in configs/")
    flags.DEFINE_integer("epochs", None, "of each run, in place of the recipe's", lower_bound=1)
    flags.DEFINE_integer("pairs", 3, "runs with and without summaries", lower_bound=1)
    flags.DEFINE_string("with_flags", "", "more flags of trainer.task on the first side")
    flags.DEFINE_string("without_flags", "--config.summaries.times=0", "and on the second")
    program.run(main, Command(purpose=__doc__))
