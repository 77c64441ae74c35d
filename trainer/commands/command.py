"""The commands, as the list of them and the help of each show them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 80  # of a line of help


@dataclass(frozen=True)
class Command:
    """What a user is told of a command.

    Attributes:
      module: that has its `main`, and `define_flags` and `parse_flags` where it needs them.
      purpose: in a line, as in "prepares a data set".
      example: a command line to copy.
      arguments: names of the positional arguments, all required; if the last ends in "...", it may
        be repeated.
      needed: flags without which it cannot run.
      common: flags that many users set.
    """

    module: str = ""
    purpose: str = ""
    example: str = ""
    arguments: Sequence[str] = ()
    needed: Sequence[str] = ()
    common: Sequence[str] = ()

    def example_lines(self, indent: str = "") -> str:
        """Returns the example as lines for a shell, none wider than a terminal."""
        lines = textwrap.wrap(
            self.example, WIDTH - len(indent) - 6, break_on_hyphens=False, break_long_words=False
        )
        return indent + f" \\\n{indent}    ".join(lines)


_FIELDS = (
    *("config.data.path", "config.data.image_size", "config.train.epochs"),
    *("config.train.batch_size", "config.optimizer.learning_rate", "config.distribute.strategy"),
    *("config.precision", "config.seed"),
)

COMMANDS = {
    "prepare": Command(
        "trainer.commands.prepare",
        "prepares a data set from archives, folders, tables or DICOM files",
        "radiograph prepare --source=chest_xray.zip --out=DATA",
        needed=("source", "out"),
        common=("max_side", "uniform", "image_root", "path_column", "label_columns"),
    ),
    "audit": Command(
        "trainer.commands.audit",
        "shows whether a data set can be trusted",
        "radiograph audit --source=chest_xray.zip",
        needed=("source",),
        common=("out", "image_root", "path_column", "label_columns"),
    ),
    "config": Command(
        "trainer.commands.config",
        "shows a config as a run would write it, and checks it",
        "radiograph config resnet --config.train.epochs=30",
        arguments=("RECIPE",),
        common=("json", "diff", "search"),
    ),
    "profile": Command(
        "trainer.commands.profile",
        "traces some training steps, and lists the dearest operations",
        "radiograph profile RUN --steps=10",
        arguments=("RUN",),
        common=("steps", "out", "config"),
    ),
    "cache": Command(
        "trainer.commands.cache",
        "lists or removes the files of decoded pixels that runs keep",
        "radiograph cache list DATA",
        arguments=("list [DATA], clear [DATA]...",),
    ),
    "train": Command(
        "trainer.task",
        "trains and evaluates a network; the same command resumes",
        "radiograph train --config=resnet --config.data.path=DATA --workdir=RUN",
        needed=("config", "workdir"),
        common=_FIELDS,
    ),
    "launch": Command(
        "trainer.commands.launch",
        "trains with several workers on this machine",
        "radiograph launch --workers=2 -- --config=resnet --config.data.path=DATA --workdir=RUN",
        common=("workers", "devices"),
    ),
    "tune": Command(
        "trainer.commands.tune",
        "searches hyperparameters, one trial after the other",
        "radiograph tune --config=resnet --config.data.path=DATA --workdir=RUNS --trials=8",
        needed=("config", "workdir"),
        common=("trials",),
    ),
    "seeds": Command(
        "trainer.commands.seeds",
        "trains a config with several seeds, or on folds, and sums up",
        "radiograph seeds --config=resnet --config.data.path=DATA --workdir=RUNS --seeds=5",
        needed=("config", "workdir"),
        common=("seeds", "folds"),
    ),
    "runs": Command(
        "trainer.commands.runs",
        "lists the runs below a folder: state, epoch, best AUC, data, age",
        "radiograph runs runs/ --sort=auc",
        arguments=("DIR",),
        common=("sort", "format"),
    ),
    "report": Command(
        "trainer.commands.report",
        "writes pages about finished runs, or about single radiographs",
        "radiograph report RUN --image=FILE",
        arguments=("RUN...",),
        common=("image", "out"),
    ),
    "evaluate": Command(
        "trainer.commands.evaluate",
        "judges finished runs on another data set",
        "radiograph evaluate RUN --data=DATA",
        arguments=("RUN...",),
        needed=("data",),
        common=(
            "split",
            "name",
            "out",
            "by",
            "against",
            "map_labels",
            "tta",
            "stress",
            "allow_overlap",
        ),
    ),
    "predict": Command(
        "trainer.commands.predict",
        "predicts files, folders, archives and tables with a finished run",
        "radiograph predict RUN FOLDER --out=predictions.csv",
        arguments=("RUN", "PATH..."),
        common=("out", "resume", "threshold"),
    ),
    "replay": Command(
        "trainer.commands.replay",
        "trains a stretch of a run again, and compares it bit for bit",
        "radiograph replay RUN",
        arguments=("RUN",),
        common=("from", "to", "data", "record"),
    ),
    "export": Command(
        "trainer.commands.export",
        "exports a finished run for other programs, checked against it",
        "radiograph export RUN --out=EXPORT",
        arguments=("RUN...",),
        needed=("out",),
        common=("format", "data", "similar"),
    ),
    "serve": Command(
        "trainer.commands.serve",
        "serves an export over HTTP, with a page for people",
        "radiograph serve EXPORT --port=8501",
        arguments=("EXPORT",),
        common=("port", "host", "token_file"),
    ),
    "submit": Command(
        "trainer.commands.submit",
        "submits a run to a cloud, or an evaluation or prediction with one",
        "radiograph submit --config=resnet --data=DATA --workdir=gs://BUCKET/runs/NAME "
        "--accelerator=nvidia-l4:2 --spot --wait",
        needed=("workdir", "accelerator"),
        common=(
            *("config", "data", "command", "platform", "workers", "spot", "wait", "dry_run"),
            *("project", "region"),
        ),
    ),
    "jobs": Command(
        "trainer.commands.jobs",
        "lists, shows, cancels and fetches jobs in a cloud",
        "radiograph jobs fetch gs://BUCKET/runs/NAME runs/NAME",
        arguments=("list, show JOB, cancel JOB, fetch JOB DIR...",),
        common=("region", "platform"),
    ),
}
