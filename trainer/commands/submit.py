r"""Sends a run to a cloud: `radiograph submit --config=configs/resnet.py ...`.

    radiograph submit --config=configs/resnet.py --config.data.path=gs://BUCKET/data \
      --workdir=gs://BUCKET/runs/NAME --accelerator=nvidia-l4:2 --spot --wait
    radiograph submit --command=evaluate --workdir=gs://BUCKET/judged/NAME --accelerator=cpu \
      -- RUN --data=DATA --by=sex

Checks the order before it costs money, uploads the data, submits the job, and prints where the run
can be watched. docs/cloud.md leads from nothing to a running job.
"""

import secrets
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from absl import flags
from etils import epath, epy
from ml_collections import ConfigDict

from trainer.cloud import bucket_address, machines
from trainer.cloud.machines import Machine
from trainer.cloud.order import PLATFORMS, Order, read_labels
from trainer.commands import config_flags, config_inputs, path_flags, program, remote_command
from trainer.commands.command import COMMANDS
from trainer.commands.remote_command import RemoteCommand
from trainer.config import schema
from trainer.data import summary_file
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine

with epy.lazy_imports():  # what speaks to a cloud
    from trainer.cloud import (
        checks,
        container_image,
        credentials,
        google_storage,
        platform,
        upload,
        vertex_tuning,
        watch,
    )
    from trainer.tuning import search_space

_COMMAND = flags.DEFINE_enum(
    "command", "train", ["train", *remote_command.MODULES], "what runs; its own line follows --"
)
_WORKDIR = flags.DEFINE_string("workdir", "", "folder that the run is written to, gs://")
_ACCELERATOR = flags.DEFINE_string(
    "accelerator", "", "of each machine, such as nvidia-l4:2, tpu-v5e:8 or cpu"
)
_MACHINE_TYPE = flags.DEFINE_string(
    "machine_type", "", "default: the usual one for the accelerator"
)
_WORKERS = flags.DEFINE_integer("workers", 1, "machines that train together", 1, 64)
_PLATFORM = flags.DEFINE_enum("platform", "vertex", PLATFORMS, "service that runs the job")
_IMAGE = flags.DEFINE_string("image", "", "container; default: the one that docs/cloud.md builds")
_PROJECT = flags.DEFINE_string("project", "", "Google Cloud project; default: gcloud's")
_REGION = flags.DEFINE_string("region", "", "default: that of the bucket")
_ZONE = flags.DEFINE_string("zone", "", "of a TPU VM, such as us-central1-a")
_SPOT = flags.DEFINE_bool("spot", False, "cheaper machines that may be preempted")
_FLEX_HOURS = flags.DEFINE_float(
    "flex_start_hours", 0.0, "hours to wait for cheaper machines; 0: do not wait", 0, 168
)
_DATA = path_flags.define_path("data", "", "local prepared data set to upload to data.path")
_SERVICE_ACCOUNT = flags.DEFINE_string("service_account", "", "of the job; default: the platform's")
_TENSORBOARD = flags.DEFINE_string(
    "tensorboard", "", "number of a Vertex AI TensorBoard that shows the run too"
)
_LABELS = flags.DEFINE_multi_string("label", [], "KEY=VALUE, for billing; may be repeated")
_DISK = flags.DEFINE_integer("boot_disk_gb", 100, "of each machine", 100, 64_000)
_TIMEOUT = flags.DEFINE_float("timeout_hours", 24.0, "hours after which the job is ended", 0.1, 672)
_TRIALS = flags.DEFINE_integer("trials", 0, "runs of the recipe's sweep(); 0: one run", 0, 1000)
_PARALLEL = flags.DEFINE_integer("parallel_trials", 1, "trials at the same time", 1, 100)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "check, write the job file, and submit nothing")
_WAIT = flags.DEFINE_bool("wait", False, "follow the job to its end; Ctrl-C leaves it running")


def main(argv: Sequence[str]) -> None:
    """Submits what the flags describe."""
    del argv  # without what follows --
    _, line_of_command = program.split(sys.argv)
    remote = _remote(line_of_command)
    config = schema.default() if remote else _config()
    machine = machines.choose(_ACCELERATOR.value, _MACHINE_TYPE.value, _PLATFORM.value)
    _check_together(_PLATFORM.value)
    uploads = list(remote.uploads) if remote else config_inputs.place(config, _workdir())
    if _DATA.value:
        summary_file.require(_DATA.value, "data")
        uploads.append(upload.Upload(Path(_DATA.value), config.data.path))
    access = _access()
    order = _order(config, machine, access)
    if remote:
        order = replace(order, command=remote.arguments, inputs=remote.inputs)
    _check(order, uploads, access)
    if access and not remote:
        config_inputs.check_unchanged(uploads, access.storage, order.workdir)
    if access is None or _DRY_RUN.value:
        print(f"\nNothing was submitted. To do it by hand:\n{_write(order, uploads)}")
        return
    for each in uploads:
        with program.exit_at_signals("uploaded files are kept, and the same command goes on"):
            line = LiveLine(quiet=program.verbosity() < 0)
            sent = upload.upload(access.storage, each.path, each.url, kind=each.kind, line=line)
        print(f"uploaded {sent.files} files ({sent.bytes / 2**20:,.1f} MiB), {sent.unchanged} same")
    if not remote:
        google_storage.write_text(access.storage, order.config_file, order.config_text)
    cloud = platform.open_platform(
        order.platform, access, project=order.project, region=order.region, zone=order.zone
    )
    job = cloud.submit(order)
    print(f"\n{watch.describe(job)}")
    if remote:
        print(f"{'bring it here':<12}  {watch.command('fetch', order.platform, job)} FOLDER")
    print(f"{'stop it':<12}  {watch.command('cancel', order.platform, job)}", flush=True)
    if _WAIT.value:
        watch.follow(cloud, job, order, client=access.storage)


def _access() -> "platform.Access | None":
    """Returns the user's access to the cloud; None in a dry run without credentials."""
    try:
        found, project = credentials.find()
        return platform.Access(found, google_storage.client(_PROJECT.value or project, found))
    except credentials.NoCredentials:
        if not _DRY_RUN.value:
            raise
        return None


def _remote(line: Sequence[str]) -> RemoteCommand | None:
    """Returns the command that runs in place of a training; None for a training.

    Raises:
      UsageError: flags of a training are given for it, or its own line where a training is meant.
    """
    name = _COMMAND.value
    if name == "train":
        program.check_arguments(line, ())
        program.check_needed(replace(COMMANDS["submit"], needed=["config"]))
        return None
    trainings = {
        "--config": config_flags.FILE.value,
        "--data": _DATA.value,
        "--trials": _TRIALS.value,
        "--workers": _WORKERS.value > 1,
        **{f"--config.{field}": True for field in config_flags.overrides()},
    }
    if given := [flag for flag, value in trainings.items() if value]:
        raise UsageError(
            f"{given[0]} is for a training: leave it out with --command={name}, whose own line "
            f"follows -- as in -- {COMMANDS[name].example.removeprefix(f'radiograph {name} ')}."
        )
    return remote_command.read(name, line, _workdir())


def _workdir() -> str:
    """Returns where the job writes.

    Raises:
      UsageError: if it is not a folder in a bucket.
    """
    bucket, folder = bucket_address.split(_WORKDIR.value)
    if not folder:
        raise UsageError(f"--workdir={_WORKDIR.value} is a whole bucket: name a folder in it.")
    return f"gs://{bucket}/{folder}"


def _config() -> ConfigDict:
    """Returns the config of the run, with the place in a bucket where its data are or will be.

    Raises:
      UsageError: if the work directory or the data are not in a bucket.
    """
    config = config_flags.read()
    bucket, _ = bucket_address.split(_workdir())
    if _DATA.value and not config.data.path:
        config.data.path = f"gs://{bucket}/data/{Path(_DATA.value).resolve().name}"
    if not config.data.path.startswith("gs://"):
        raise UsageError(
            f"data.path={config.data.path!r} is not in a bucket, where the job could read it: "
            "give --config.data.path=gs://BUCKET/FOLDER, and --data=DIR to upload DIR there."
        )
    config.data.path = config.data.path.rstrip("/")
    return config


def _order(config: ConfigDict, machine: Machine, access: "platform.Access | None") -> Order:
    """Returns what the flags describe.

    Raises:
      UsageError: if the project, the region, the zone or the image is not known.
    """
    service = _PLATFORM.value
    workdir = _workdir()
    project = _PROJECT.value or (access and access.storage.project) or ""
    region = _region(access, bucket_address.split(workdir)[0])
    _check_known(service, project, region)
    board = _TENSORBOARD.value
    if board and "/" not in board:
        board = f"projects/{project}/locations/{region}/tensorboards/{board}"
    return Order(
        config=config,
        workdir=workdir,
        image=_IMAGE.value or container_image.default(machine.accelerator, project, region),
        machine=machine,
        platform=service,
        project=project,
        region=region,
        zone=_ZONE.value,
        workers=_WORKERS.value,
        capacity="spot" if _SPOT.value else "flex_start" if _FLEX_HOURS.value else "on_demand",
        service_account=_SERVICE_ACCOUNT.value,
        tensorboard=board,
        labels=read_labels(_LABELS.value),
        boot_disk_gb=_DISK.value,
        timeout_hours=_TIMEOUT.value,
        max_wait_hours=_FLEX_HOURS.value,
        study=_study() if _TRIALS.value else None,
        trials=_TRIALS.value,
        parallel_trials=_PARALLEL.value,
        submission=secrets.token_hex(4),
    )


def _study() -> dict[str, Any]:
    return vertex_tuning.study(search_space.read(config_flags.FILE.value))


def _region(access: "platform.Access | None", bucket: str) -> str:
    if _REGION.value:
        return _REGION.value
    if _ZONE.value:
        return _ZONE.value.rsplit("-", 1)[0]
    if _PLATFORM.value == "kubernetes" or access is None:
        return ""
    location = google_storage.region(access.storage, bucket)
    return location if "-" in location else ""


def _check_known(service: str, project: str, region: str) -> None:
    """Raises a UsageError that names all flags without which the platform has no job."""
    needed = [
        ("--project=PROJECT (gcloud has none)", project, ("vertex", "tpu_vm")),
        ("--region=REGION (that of the bucket is not known)", region, ("vertex",)),
        ("--zone=ZONE (such as us-central1-a)", _ZONE.value, ("tpu_vm",)),
        ("--image=IMAGE (that the cluster pulls)", _IMAGE.value, ("kubernetes",)),
    ]
    if names := [flag for flag, value, used in needed if service in used and not value]:
        raise UsageError(f"missing for --platform={service}: give {' and '.join(names)}.")


def _check_together(service: str) -> None:
    """Raises a UsageError for flags that contradict each other."""
    if _SPOT.value and _FLEX_HOURS.value:
        raise UsageError(
            "--spot and --flex_start_hours are two different offers: give one of them."
        )
    if _TENSORBOARD.value and not _SERVICE_ACCOUNT.value:
        raise UsageError(
            "--tensorboard needs --service_account=NAME@PROJECT.iam.gserviceaccount.com, which "
            "writes to it: docs/cloud.md makes one."
        )
    only_vertex = {
        "--flex_start_hours": _FLEX_HOURS.value,
        "--trials": _TRIALS.value,
        "--tensorboard": _TENSORBOARD.value,
        "--boot_disk_gb": flags.FLAGS["boot_disk_gb"].present,
    }
    for flag, given in only_vertex.items():
        if given and service != "vertex":
            raise UsageError(
                f"{flag} is only for Vertex AI, not for --platform={service}: leave it out."
            )
    if _ACCELERATOR.value.lower().startswith("tpu") and _WORKERS.value > 1:
        raise UsageError(
            "--workers must be 1 with a TPU: slices of several hosts have not been tried yet."
        )


def _check(
    order: Order, uploads: "Sequence[upload.Upload]", access: "platform.Access | None"
) -> None:
    marks = {checks.OK: "ok", checks.NOTE: "note", checks.UNKNOWN: "?", checks.WRONG: "WRONG"}
    wrong = 0
    for result in checks.run_checks(order, uploads, access):
        print(f"{marks[result.state]:>5}  {result.subject:<8}  {result.message}", flush=True)
        wrong += result.state == checks.WRONG
    if wrong:
        raise UsageError(f"nothing was submitted: {wrong} of the checks above failed.")


def _write(order: Order, uploads: "Sequence[upload.Upload]") -> str:
    """Writes the files for the platform's own command line into a folder; returns the commands."""
    module = platform.MODULES[order.platform]
    folder = epath.Path(f"{order.name}-job")
    folder.mkdir(exist_ok=True)
    config, job = folder / "config.json", folder / module.SUFFIX
    atomic.write_text(job, module.file(order))
    gcloud = ["gcloud", "storage"]
    commands = [
        [*gcloud, *(["rsync", "--recursive"] if path.is_dir() else ["cp"]), str(path), url]
        for path, url, _ in uploads
    ]
    if not order.command:
        atomic.write_text(config, order.config_text)
        commands.append([*gcloud, "cp", str(config), order.config_file])
    commands.append(module.command(order, str(job)))
    return "\n".join(map(shlex.join, commands))


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["submit"], lambda argv: config_flags.parse(program.split(argv)[0]))


if __name__ == "__main__":
    run()
