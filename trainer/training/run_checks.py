"""What is refused before a run begins, by its config, its data and its folder: no TensorFlow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from trainer import network_names
from trainer.config import schema
from trainer.data import summary_file
from trainer.system import gcs, json_files, own_function
from trainer.system.errors import UsageError
from trainer.training.run_files import PRETRAINED, initial_run
from trainer.training.run_paths import EVENTS

# What a run writes into its work directory under names that another program may use too.
WRITTEN = (
    *("data_summary.json", "environment.json", "history.json", "evaluations.json"),
    *("audit.json", "report.html", "metrics.csv", "speed.json", "model_card.md", "metadata.json"),
    *(PRETRAINED, "evaluation", "pictures", network_names.SOURCE),
)
# Copies of the files with one's own functions, by the field that names the function.
COPIES = {"loss.name": "loss.py", "augment.extra": "augmentation.py"}
# All that a run and its loggers may have written before its first checkpoint.
TRACKED = ("mlflow.json", "wandb.json")
BEGUN = (*WRITTEN, *COPIES.values(), *TRACKED, "config.json", "model.json", "stacks", EVENTS)
WEIGHTS = "imagenet, a run's folder, a .weights.h5 or .keras file, or a TensorFlow checkpoint"

FROM_BACKUP = "bring it back from a backup"  # a damaged record that is not made anew


def check(config: ConfigDict, workdir: epath.Path | None = None) -> None:
    """Raises a UsageError for what the run would refuse later, as far as local files tell it.

    A bucket is left to the run, which asks it once.

    Args:
      config: of the run.
      workdir: of the run, which need not exist; None for any.
    """
    schema.check(config)
    if not (workdir and gcs.is_gcs(workdir)):
        network_names.check(config.model.name, workdir)
        if workdir:
            check_own_files(config, workdir)
        if not (workdir and (workdir / "config.json").exists()):
            _check_weights(config.model)
    if gcs.is_gcs(config.data.path):
        return
    summary = summary_file.require(config.data.path)
    check_data(config, summary)
    if workdir and not gcs.is_gcs(workdir) and workdir.is_dir():
        check_folder(workdir, config, summary)


def check_supervised(config: ConfigDict, command: str) -> None:
    """Raises a UsageError of a command whose results a pretraining does not have."""
    if method := config.pretrain.method:
        raise UsageError(
            f"radiograph {command} compares runs by what they predict, and pretrain.method={method}"
            " predicts nothing: give radiograph train, then the recipe of a run that begins with "
            "its --config.model.weights."
        )


def own_files(config: ConfigDict, workdir: epath.Path) -> dict[epath.Path, epath.Path]:
    """Returns the copy that a run keeps of each file with a loss or augmentation of one's own."""
    named = dict(schema.fields(config))
    files = {field: named[field].rpartition(":")[0] for field in COPIES}
    return {
        epath.Path(file): workdir / COPIES[field]
        for field, file in files.items()
        if file.endswith(".py")
    }


def check_own_files(config: ConfigDict, workdir: epath.Path) -> None:
    """Raises a UsageError if such a file is not what the run began with."""
    for file, copy in own_files(config, workdir).items():
        own_function.check_unchanged(file, copy)


def _check_weights(options: ConfigDict) -> None:
    """Raises a UsageError if `model.weights` names what cannot be; a bucket is left to the run."""
    weights = options.weights
    if weights == "imagenet" and options.name not in network_names.APPLICATIONS:
        raise UsageError(
            f"model.weights=imagenet is for networks of keras.applications, not for model.name="
            f"{options.name}: give --config.model.name=densenet121, say, or a file of weights."
        )
    if weights not in ("", "imagenet") and not gcs.is_gcs(weights):
        check_weights(weights)


def check_weights(path: epath.PathLike) -> None:
    """Raises a UsageError unless what a path names, which is local, may be weights."""
    given, there = f"model.weights={path}", Path(path)
    if there.is_dir():
        initial_run(path)
    elif Path(f"{path}.index").exists():
        return
    elif not there.exists():
        raise UsageError(f"{given} does not exist: give {WEIGHTS}.")
    elif there.suffix not in (".h5", ".keras"):
        raise UsageError(f"{given} is no file of weights: give {WEIGHTS}.")


def check_data(config: ConfigDict, summary: Mapping[str, Any]) -> None:
    """Raises a UsageError if the config asks for what the data set does not have.

    With fewer training images than a batch has, some epoch would have no step of its own.

    Args:
      config: of the run.
      summary: of the data set.
    """
    path = config.data.path
    for field, name in (("loss.name", config.loss.name), ("augment.extra", config.augment.extra)):
        if ":" in name:
            own_function.require(name, field)
    if config.loss.name in ("categorical", "softmax") and not summary.get("exclusive"):
        raise UsageError(
            f"loss.name={config.loss.name} is for classes that exclude one another, which the "
            f"labels of data.path={path} do not: give --config.loss.name=auto, or prepare them "
            "with --exclusive."
        )
    images, batch = summary["splits"]["train"]["images"], config.train.batch_size
    if not images:
        why = "with --all_test" if summary["labels"] else "without labels"
        how = "" if summary["labels"] else ", for a pretraining one that is made with --noall_test"
        raise UsageError(
            f"data.path={path} was prepared {why} and has no image to train on: give a data set "
            f"with a train split{how}."
        )
    if summary.get("labels") == [] and not config.pretrain.method:
        raise UsageError(
            f"data.path={path} has no labels to learn: give a data set with labels, or pretrain on "
            "this one with --config=pretrain."
        )
    if images < batch:
        raise UsageError(
            f"train.batch_size={batch} is more than the {images:,} training images of "
            f"data.path={path}: give --config.train.batch_size={images} or less, or prepare "
            "more images."
        )


def check_folder(workdir: epath.Path, config: ConfigDict, summary: Mapping[str, Any]) -> None:
    """Raises a UsageError unless a run with this config and data can begin or go on in a folder.

    Args:
      workdir: of the run, which exists.
      config: of the run.
      summary: of the data set.
    """
    file = workdir / "config.json"
    if file.exists():
        schema.check_same_run(config, json_files.read(file, remedy=FROM_BACKUP))
    else:
        _refuse_other_files(workdir)
    file = workdir / "data_summary.json"
    if file.exists():
        remedy = f"{FROM_BACKUP}, or delete it if {config.data.path} is what the run began on"
        saved = json_files.read(file, remedy=remedy)
        with json_files.damage_reported(file, remedy):
            _described(saved)
        _check_same_data(saved, summary, workdir=workdir, path=config.data.path)


def _check_same_data(
    saved: Mapping[str, Any], summary: Mapping[str, Any], *, workdir: epath.Path, path: str
) -> None:
    """Raises a UsageError unless the data set is the one that a run began on, wherever it lies.

    Args:
      saved: the content of the run's data_summary.json.
      summary: of the data that the run is to go on with.
      workdir: of the run.
      path: where these data lie.
    """
    if not summary_file.is_same(saved, summary):
        raise UsageError(
            f"data.path={path} ({_described(summary)}) is not the data set on which this work "
            f"directory was begun ({_described(saved)}): give the path where that lies now, "
            "name another --workdir, or judge the run on other data with "
            f"radiograph evaluate {workdir} --data={path}."
        )


def _described(summary: Mapping[str, Any]) -> str:
    images = [f"{split['images']:,} {name}" for name, split in summary["splits"].items()]
    fingerprint = summary_file.with_fingerprint(summary)["dataset_fingerprint"]
    return f"{', '.join(images)}, from {summary['source']}, dataset_fingerprint {fingerprint[:16]}"


def _refuse_other_files(workdir: epath.Path) -> None:
    others = [name for name in WRITTEN if (workdir / name).exists()]
    if others:
        raise UsageError(
            f"--workdir={workdir} holds no run (it has no config.json), but {', '.join(others)}, "
            "which a run would overwrite: name another --workdir, or move these files elsewhere."
        )
