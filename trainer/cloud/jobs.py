"""Jobs in a cloud: `python -m trainer.cloud.jobs list`, `show JOB`, `cancel JOB`.

    python -m trainer.cloud.jobs list --region=us-central1
    python -m trainer.cloud.jobs show projects/PROJECT/locations/us-central1/customJobs/123

JOB is what submit printed, the last part of it, or the run's name; of a TPU VM, which goes as its
job ends, also the run's gs://WORKDIR.
"""

import re
from collections.abc import Sequence

from absl import flags

from trainer import entry
from trainer.cloud import credentials, storage, watch
from trainer.cloud.kubernetes import Kubernetes
from trainer.cloud.order import PLATFORMS
from trainer.cloud.platform import Access, Platform, reached
from trainer.entry import Refusal

VERBS = ("list", "show", "cancel")
FULL_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)/(\w+)/[^/]+")

_PLATFORM = flags.DEFINE_enum("platform", "vertex", PLATFORMS, "what runs the jobs")
_PROJECT = flags.DEFINE_string("project", "", "whose jobs; default: gcloud's, or that of JOB")
_REGION = flags.DEFINE_string("region", "", "where they run; default: that of JOB")
_ZONE = flags.DEFINE_string("zone", "", "where they run on TPU VMs; default: that of JOB")


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags, and raises a Refusal unless a verb comes with the job that it needs."""
    rest = flags.FLAGS(list(argv))
    verb, given = (rest[1], rest[2:]) if len(rest) > 1 else ("", [])
    if verb not in VERBS or len(given) != (verb != "list"):
        raise Refusal("give one of: list, show JOB, cancel JOB (--help tells of the flags).")
    return rest


def main(argv: Sequence[str]) -> None:
    """Lists jobs, shows one, or ends one."""
    verb, name = argv[1], argv[2] if len(argv) > 2 else ""
    platform, project, place = _PLATFORM.value, _PROJECT.value, _REGION.value or _ZONE.value
    if full := FULL_NAME.fullmatch(name):
        project, place, kind = full.groups()
        platform = "tpu_vm" if kind == "queuedResources" else "vertex"
    there = _reached(platform, project, place)
    if verb == "list":
        print(watch.table(there.jobs()))
    elif verb == "show":
        print(watch.described(there.show(name)))
    else:
        there.cancel(name)
        print(
            f"{name} is being stopped; it saves first, and the same submission goes on from there"
        )


def _reached(platform: str, project: str, place: str) -> Platform:
    """Returns the platform at that place.

    Raises:
      Refusal: if it has places, and none is said.
    """
    if platform == "kubernetes":
        return Kubernetes()
    if not place:
        flag = "--zone=us-central1-a" if platform == "tpu_vm" else "--region=us-central1"
        raise Refusal(f"say where the jobs run, as in {flag}, or give JOB's whole name.")
    found, its_project = credentials.find()
    if not (project or its_project):
        raise Refusal("--project=PROJECT is missing, and gcloud has none set as its default.")
    access = Access(found, storage.client(project or its_project))
    return reached(platform, access, project or its_project, region=place, zone=place)


if __name__ == "__main__":
    entry.run(main, parse_flags, ["list, show JOB or cancel JOB..."])
