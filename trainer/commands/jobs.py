"""Jobs in a cloud: `radiograph jobs list`, `show JOB`, `cancel JOB`, `fetch JOB DIR`.

    radiograph jobs list --region=us-central1
    radiograph jobs show projects/PROJECT/locations/us-central1/customJobs/123
    radiograph jobs fetch gs://BUCKET/runs/NAME runs/NAME

JOB is the name that submit printed, the last part of it, or the run's name; for a TPU VM, which is
deleted when its job ends, also the run's gs://WORKDIR. fetch, which brings a run here, takes the
gs://WORKDIR of any run.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags
from etils import epy

from trainer.cloud.order import PLATFORMS
from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine

if TYPE_CHECKING:
    from google.cloud.storage import Client

with epy.lazy_imports():  # what speaks to a cloud
    from trainer.cloud import credentials, google_storage, platform, run_download, watch

ARGUMENTS = {"list": 0, "show": 1, "cancel": 1, "fetch": 2}  # number of them
USAGE = "list, show JOB, cancel JOB, fetch JOB DIR"
FULL_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)/(\w+)/[^/]+")

_PLATFORM = flags.DEFINE_enum("platform", "vertex", PLATFORMS, "service that runs the jobs")
_PROJECT = flags.DEFINE_string(
    "project", "", "Google Cloud project; default: gcloud's, or that of JOB"
)
_REGION = flags.DEFINE_string("region", "", "region of the jobs; default: that of JOB")
_ZONE = flags.DEFINE_string("zone", "", "zone of TPU VMs; default: that of JOB")


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags, and raises a UsageError unless a verb comes with its arguments."""
    rest = flags.FLAGS(list(argv))
    verb, given = (rest[1], rest[2:]) if len(rest) > 1 else ("", [])
    if len(given) != ARGUMENTS.get(verb, -1):
        raise UsageError(f"give one of: {USAGE} (--help lists the flags).")
    return rest


def main(argv: Sequence[str]) -> None:
    """Lists jobs, shows one, stops one, or brings its run here."""
    verb, name = argv[1], argv[2] if len(argv) > 2 else ""
    if verb == "fetch" and name.startswith("gs://"):
        _fetch(google_storage.client(_PROJECT.value or None), name.rstrip("/"), argv[3])
        return
    service, project, place = _PLATFORM.value, _PROJECT.value, _REGION.value or _ZONE.value
    if full := FULL_NAME.fullmatch(name):
        project, place, kind = full.groups()
        service = "tpu_vm" if kind == "queuedResources" else "vertex"
    cloud = _open_platform(service, project, place)
    if verb == "list":
        print(watch.table(cloud.jobs()))
    elif verb == "show":
        print(watch.describe(cloud.show(name)))
    elif verb == "fetch":
        _fetch(google_storage.client(project or None), cloud.show(name).workdir, argv[3])
    else:
        cloud.cancel(name)
        print(f"{name} is being stopped; it saves first, and the same submission continues the run")


def _fetch(client: "Client", workdir: str, target: str) -> None:
    folder = Path(path_flags.expand(target))
    with program.exit_at_signals("downloaded files are kept, and the same command goes on"):
        line = LiveLine(quiet=program.verbosity() < 0)
        downloaded = run_download.download(client, workdir, folder, line=line)
    is_run = (folder / "tensorboard").is_dir()
    shown = f"; scripts/tensorboard.sh {shlex.quote(str(folder))}" if is_run else ""
    print(
        f"downloaded {downloaded.files} files ({downloaded.bytes / 2**20:,.1f} MiB) to {folder}, "
        f"{downloaded.unchanged} were unchanged{shown}"
    )


def _open_platform(service: str, project: str, place: str) -> "platform.Platform":
    """Returns the platform in a region or zone.

    Raises:
      UsageError: if it needs one, or a project, and none is given.
    """
    if service == "kubernetes":
        return platform.open_platform(service, None)
    if not place:
        flag = "--zone=us-central1-a" if service == "tpu_vm" else "--region=us-central1"
        raise UsageError(
            f"{flag.split('=')[0]} is missing: give it, as in {flag}, or the full name of JOB."
        )
    found, default_project = credentials.find()
    project = project or default_project or ""
    if not project:
        raise UsageError("--project=PROJECT is missing, and gcloud has none set as its default.")
    access = platform.Access(found, google_storage.client(project, found))
    return platform.open_platform(service, access, project=project, region=place, zone=place)


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["jobs"], parse_flags)


if __name__ == "__main__":
    run()
