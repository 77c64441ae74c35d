"""Trains a config several times: `radiograph seeds --config=resnet --workdir=RUNS --seeds=5`.

A figure of one seed is partly luck. The runs are trained one after the other on this machine; the
same command again goes on where it was stopped, and with more --seeds adds some. RUNS/seeds.json
has each seed's figures on validation and test, their mean and standard deviation, and those of the
ensemble, the mean of the runs' calibrated log-odds.

With --folds the runs are those of cross-validation instead, on the folds that `radiograph prepare
--folds=K` wrote: every image is predicted by a run that was not trained on it. RUNS/folds.json has
the figures of the whole set, RUNS/label_errors.csv the images whose label is probably wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from etils import epath, epy

from trainer.commands import config_flags, path_flags, program, run_loggers
from trainer.commands.command import COMMANDS
from trainer.data.audit import suspected_labels
from trainer.system import atomic, tensorflow_import
from trainer.training import run_checks
from trainer.tuning import repeats

with epy.lazy_imports():  # TensorFlow
    from trainer.judge import out_of_fold, repeat_summary
    from trainer.metrics import evaluation_files, label_result

SEEDS, FOLDS = "seeds.json", suspected_labels.SUMMARY

_WORKDIR = path_flags.define_path("workdir", "", "folder of the runs")
_SEEDS = flags.DEFINE_integer(
    "seeds", 5, "number of runs; the first has the config's own seed", lower_bound=1
)
_FOLDS = flags.DEFINE_bool("folds", False, "a run for each fold of prepare --folds, instead")


def main(argv: Sequence[str]) -> None:
    """Trains the runs that the flags describe, and sums them up."""
    del argv
    config, workdir = config_flags.read(), epath.Path(_WORKDIR.value)
    folds = _FOLDS.value
    run_checks.check_supervised(config, "seeds")
    chosen = repeats.by_fold(config) if folds else repeats.by_seed(config, _SEEDS.value)
    for fields in chosen.values():
        own = config.copy_and_resolve_references()
        own.update_from_flattened_dict(fields)
        run_checks.check(own)
    run_loggers.check(config, workdir)
    task_flags = config_flags.task_flags(program.verbosity())
    runs = repeats.run(config, chosen, task_flags=task_flags, workdir=workdir)
    tensorflow_import.import_quietly()
    figures = repeat_summary.summarize(runs, same_images=not folds)
    for split, rows in figures.items():
        print(f"{repeat_summary.table(rows, split)}\n")
    if len(runs) == 1:
        print("one seed has no deviation: give --seeds=2 or more to see what is luck\n")
    record = workdir / (FOLDS if folds else SEEDS)
    pooled: Mapping[str, Any] = _pool(runs, workdir) if folds else {}
    atomic.write_json(record, {**figures, **pooled})
    print(f"figures: {record}")


def _pool(runs: Sequence[epath.Path], workdir: epath.Path) -> Mapping[str, Any]:
    """Sums up the predictions of all folds, writes the suspected label errors, and shows both."""
    pooled = out_of_fold.OutOfFold.read(runs)
    evaluation = pooled.evaluate()
    evaluation_files.write(workdir, pooled.predictions, evaluation)
    print(
        f"all {evaluation['images']:,} images of {evaluation['patients']:,} patients, each by a "
        "run that was not\ntrained on it; 95 % intervals by patient:"
    )
    for name in ("auc", "average_precision"):
        print(f"{name.replace('_', ' ')}: {label_result.interval_text(evaluation[name])}")
    suspects = pooled.write_suspects(workdir)
    for label, counts in suspects.items():
        of_label = f" of {label}" if len(suspects) > 1 else ""
        print(
            f"labels{of_label} that are probably wrong: {counts['suspected']:,}; if all were "
            f"right, {counts['expected']:.1f} would look so"
        )
    print(f"for a reader to check: {workdir / suspected_labels.TABLE}\n")
    return {"pooled": evaluation, "label_errors": suspects}


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["seeds"], config_flags.parse)


if __name__ == "__main__":
    run()
