"""Trains a stretch of a run again, and says whether the same bits come out.

radiograph replay RUN                    between the last two checkpoints that it keeps
radiograph replay RUN --from=0 --to=580  from the start of the run to another
"""

import sys
from collections.abc import Sequence

from absl import flags
from etils import epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import tensorflow_import
from trainer.training.run_files import RunFiles

with epy.lazy_imports():  # TensorFlow
    from trainer import replay


def main(argv: Sequence[str]) -> None:
    """Prints the sentence, and ends with 0 where all bits are the same, else with 1."""
    given, run = flags.FLAGS, path_flags.expand(argv[1])
    RunFiles(run, ["config.json"])  # before TensorFlow is imported
    tensorflow_import.import_quietly()
    found = replay.replay(run, start=given["from"].value, end=given.to, data=given.data or "")
    print(found)
    if given.record:
        replay.record(run, found)
    if found.differences:
        sys.exit(1)


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the command's flags."""
    flags.DEFINE_integer(
        "from", None, "step to begin at: 0, or that of a kept checkpoint", 0, flag_values=values
    )
    flags.DEFINE_integer("to", None, "step of the kept checkpoint to end at", 1, flag_values=values)
    flags.DEFINE_bool(
        "record",
        False,
        "notes the result in the run's model card",
        flag_values=values,
    )
    path_flags.define_path("data", None, "where the run's data set lies now", flag_values=values)


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["replay"])


if __name__ == "__main__":
    run()
