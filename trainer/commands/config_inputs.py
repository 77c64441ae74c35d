"""Local files that a config names, which a job in a cloud finds in a bucket."""

from collections.abc import Sequence
from pathlib import Path

from etils import epy
from ml_collections import ConfigDict

from trainer import network_names
from trainer.commands import path_flags
from trainer.system import gcs, own_function
from trainer.system.errors import UsageError
from trainer.training import run_checks

with epy.lazy_imports():  # what speaks to a cloud
    from trainer.cloud import google_storage, upload

# The copy that a run keeps, by the field that names the function.
OWN = {"model.name": network_names.SOURCE, **run_checks.COPIES}


def place(config: ConfigDict, workdir: str) -> "list[upload.Upload]":
    """Returns what is to be sent, and names it in the config as the job finds it.

    Args:
      config: of the run; files with functions of one's own and initial weights may be local.
      workdir: gs://BUCKET/FOLDER, beside which they come to lie.

    Raises:
      UsageError: a file or folder is not there, holds no weights, or does not define its function.
    """
    sent, beside = [], f"{workdir}-inputs"
    for field in OWN:
        group, name = field.split(".")
        file, _, function = config[group][name].rpartition(":")
        if file.endswith(".py") and not gcs.is_gcs(file):
            local = _existing(file, field)
            own_function.require(f"{local}:{function}", field)
            sent.append(upload.Upload(local, f"{beside}/{group}/{local.name}", upload.FILES))
            config[group][name] = f"{sent[-1].url}:{function}"
    weights = config.model.weights
    if weights not in ("", "imagenet") and not gcs.is_gcs(weights):
        local = _existing(weights, "model.weights").resolve()
        kind = upload.RUN if local.is_dir() else upload.FILES
        run_checks.check_weights(local)
        sent.append(upload.Upload(local, f"{beside}/weights/{local.name}", kind))
        config.model.weights = sent[-1].url
    return sent


def check_unchanged(
    sent: "Sequence[upload.Upload]", client: "google_storage.Client", workdir: str
) -> None:
    """Raises a UsageError if a file of one's own is not what the run in the bucket began with."""
    copies = {f"{workdir}-inputs/{f.split('.')[0]}": f"{workdir}/{OWN[f]}" for f in OWN}
    for path, url, _ in sent:
        copy = copies.get(url.rpartition("/")[0])
        if copy:
            begun = google_storage.read_text(client, copy)
            own_function.check_same(path, path.read_text(), copy, begun=begun)


def _existing(name: str, field: str) -> Path:
    local = Path(path_flags.expand(name))
    if not local.exists():
        raise UsageError(
            f"{field} names {name}, and there is no such file or folder here to send: name one "
            "that is, or what is in gs:// already (a TensorFlow checkpoint has to be)."
        )
    return local
