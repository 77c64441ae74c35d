"""The training job: `python -m trainer.task --config=configs/resnet.py --workdir=RUN`.

Any field of the config is overridden as `--config.group.field=value`. The same command again
resumes an unfinished run; a finished one is only evaluated again. Without --workdir the run is
written where Vertex AI's environment says, see trainer.training.run_paths.
"""

import os
from collections.abc import Sequence

from absl import flags
from etils import epy

from trainer.commands import config_flags, program, run_loggers
from trainer.system import tensorflow_import, terminal
from trainer.training import run_checks
from trainer.training.run_paths import run_paths

with epy.lazy_imports():  # TensorFlow
    from trainer import train

config_flags.define_task_flags()


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe."""
    del argv
    config = config_flags.read()
    line = terminal.LiveLine(quiet=program.verbosity() < 0)
    paths = run_paths(flags.FLAGS.workdir, os.environ)
    run_checks.check(config, paths.workdir)  # before TensorFlow is imported
    if "TF_CONFIG" not in os.environ:  # else on the chief alone, which is not known yet
        run_loggers.check(config, paths.workdir)
    tensorflow_import.import_quietly()
    train.train_and_evaluate(
        config,
        paths.workdir,
        events=paths.events,
        line=line,
        show_test=flags.FLAGS.show_test,
        loggers=run_loggers.make(config, paths.workdir, line=line),
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, config_flags.training(os.environ), config_flags.parse)


if __name__ == "__main__":
    run()
