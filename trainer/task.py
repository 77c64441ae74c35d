"""The training job: `python -m trainer.task --config=configs/resnet.py --workdir=RUN`.

Any field of the config is overridden as `--config.group.field=value`. The same command again
resumes an unfinished run; a finished one is only evaluated again. Without --workdir the run is
written where Vertex AI's environment says, see trainer.training.run_paths.
"""

import os
from collections.abc import Sequence

from absl import flags
from etils import epy

from trainer.cloud import hypertune
from trainer.commands import config_flags, path_flags, program
from trainer.system import terminal
from trainer.training.run_paths import run_paths

with epy.lazy_imports():  # TensorFlow
    from trainer import train
    from trainer.show import trial_log

flags.adopt_module_key_flags(config_flags)
_WORKDIR = path_flags.define_path("workdir", None, "folder that the run is written to")


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe."""
    del argv
    config = config_flags.read()
    line = terminal.LiveLine(quiet=program.verbosity() < 0)
    paths = run_paths(_WORKDIR.value, os.environ)
    trial = hypertune.from_environment(os.environ)
    loggers = [trial_log.TrialLog(trial.report)] if trial else []
    train.train_and_evaluate(config, paths.workdir, events=paths.events, line=line, loggers=loggers)


if __name__ == "__main__":
    program.run(main, config_flags.parse)
