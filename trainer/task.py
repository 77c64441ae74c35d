"""The training job: `python -m trainer.task --config=configs/resnet.py --workdir=RUN`.

Any field of the config is overridden as `--config.group.field=value`. The same command again
goes on where the run stopped; on a finished run it only evaluates again. Without --workdir the run
lies where Vertex AI's environment says, see trainer.training.run_paths.
"""

from collections.abc import Sequence

from absl import flags
from etils import epy
from ml_collections import config_flags

from trainer.cloud import hypertune
from trainer.commands import program
from trainer.config import recipe
from trainer.system import terminal
from trainer.training import run_paths

with epy.lazy_imports():  # TensorFlow
    from trainer import train
    from trainer.show.trial_log import TrialLog

_CONFIG = config_flags.DEFINE_config_file("config", None, "recipe, such as configs/resnet.py")
_WORKDIR = flags.DEFINE_string("workdir", None, "where the run is written")


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe."""
    del argv
    line = terminal.LiveLine(quiet=program.verbosity() < 0)
    paths = run_paths.from_environment(_WORKDIR.value)
    trial = hypertune.from_environment()
    loggers = [TrialLog(trial.report)] if trial else []
    train.train_and_evaluate(
        _CONFIG.value, paths.workdir, events=paths.events, line=line, loggers=loggers
    )


if __name__ == "__main__":
    program.run(main, recipe.parse_flags)
