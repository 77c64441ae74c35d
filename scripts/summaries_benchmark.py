"""Measures what it costs to look at a run while it trains.

    python scripts/summaries_benchmark.py --source=chest_xray.zip [--recipes=demo,article]

Each recipe is trained with its summaries and with --config.summaries.times=0, which writes
scalars and texts alone, in turn and --pairs times; which goes first changes from pair to pair.
Training is timed from the start of the first file of events, before anything is compiled, to the
last scalar of the last epoch, after all that the epoch shows. The median of the pairs counts.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from trainer.commands import program
from trainer.commands.command import Command

ROOT = Path(__file__).resolve().parents[1]
LAST = "speed/summaries"  # is written at the end of each epoch, after all that it shows
WITHOUT = "--config.summaries.times=0"


def train(run: Path, arguments: Sequence[str]) -> float:
    """Trains in a process of its own and returns how long the training took, seconds."""
    module = (sys.executable, "-m", "trainer.task", f"--workdir={run}")
    done = subprocess.run(
        [*module, *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(done.returncode)
    return training_seconds(run)


def training_seconds(run: Path) -> float:
    """Returns the time from the start of a run's training to the end of its last epoch."""
    files = sorted((run / "tensorboard/train").glob("events.*"))
    events = [event for file in files for event in EventFileLoader(str(file)).Load()]
    ends = [e.wall_time for e in events if any(v.tag == LAST for v in e.summary.value)]
    return ends[-1] - events[0].wall_time


def measure(recipe: str, data: Path, runs: Path) -> list[tuple[float, float]]:
    """Returns the seconds of training with and without summaries, a pair each time."""
    fields = {"data.path": data, "checkpoint.keep": 1}
    if flags.FLAGS.epochs:
        fields["train.epochs"] = flags.FLAGS.epochs
    arguments = [f"--config={ROOT / 'configs' / recipe}.py"]
    arguments += [f"--config.{name}={value}" for name, value in fields.items()]
    pairs = []
    for number in range(flags.FLAGS.pairs):
        sides = {"with": arguments, "without": [*arguments, WITHOUT]}
        seconds = {}
        for side in sorted(sides, reverse=number % 2 == 1):
            seconds[side] = train(runs / f"{recipe}-{number}-{side}", sides[side])
            print(f"  {recipe}, {side} summaries: {seconds[side]:.1f} s", file=sys.stderr)
        pairs.append((seconds["with"], seconds["without"]))
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
    print(f"{'training, s':<20}{'with':>10}{'without':>10}{'ratio':>8}{'overhead':>10}")
    for recipe, pairs in rows:
        with_, without = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{recipe:<20}{with_:>10.1f}{without:>10.1f}{ratio:>8.3f}{ratio - 1:>10.1%}")


if __name__ == "__main__":
    flags.DEFINE_string("source", "phantom:1800", "as of radiograph prepare")
    flags.DEFINE_list("recipes", ["demo", "article"], "files in configs/")
    flags.DEFINE_integer("epochs", None, "of each run, in place of the recipe's", lower_bound=1)
    flags.DEFINE_integer("pairs", 3, "runs with and without summaries", lower_bound=1)
    program.run(main, Command(purpose=__doc__))
