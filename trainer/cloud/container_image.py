"""The container image: its name, and whether its registry has it.

The registry's interface is that of https://distribution.github.io/distribution/spec/api/.
"""

import re
from typing import NamedTuple

import requests
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from trainer import __version__
from trainer.system.errors import UsageError

TIMEOUT = 20

# Matched as a whole: anybody can have a registry whose name ends like one of these.
GOOGLE_REGISTRIES = re.compile(r"((us|eu|asia)\.)?gcr\.io|[a-z]+(-[a-z]+[0-9]+)?-docker\.pkg\.dev")
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


class RegistryUnreachable(Exception):
    """The registry cannot be reached, or does not answer the question."""


class ImageName(NamedTuple):
    """The parts of an image's name; `reference` is a tag, or a digest with its algorithm."""

    registry: str
    repository: str
    reference: str

    @property
    def is_google(self) -> bool:
        """Whether the registry is Google's own, which takes its tokens."""
        return GOOGLE_REGISTRIES.fullmatch(self.registry) is not None


def default(accelerator: str, project: str, region: str) -> str:
    """Returns the name of the image that docs/cloud.md builds.

    Args:
      accelerator: as in --accelerator.
      project: of the registry.
      region: of the registry.
    """
    kind = {"nvi": "gpu", "tpu": "tpu"}.get(accelerator.lower()[:3], "cpu")
    return f"{region}-docker.pkg.dev/{project}/radiographs/trainer:{__version__}-{kind}"


def parse(name: str) -> ImageName:
    """Returns the parts of an image's name.

    Raises:
      UsageError: if the name is not valid.
    """
    registry, slash, rest = name.partition("/")
    if not slash or not re.search(r"[.:]|^localhost$", registry):
        registry, rest = "docker.io", name
    matched = re.fullmatch(r"([a-z0-9._/-]+)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?", rest)
    if not matched:
        raise UsageError(
            f"--image={name} is not the name of an image: give REGISTRY/REPOSITORY:TAG, such as "
            "us-central1-docker.pkg.dev/PROJECT/radiographs/trainer:TAG, in lower case."
        )
    repository, tag, digest = matched.groups()
    return ImageName(registry, repository, digest or tag or "latest")


def check(name: str, credentials: Credentials) -> None:
    """Checks that the registry has the image.

    Args:
      name: of the image.
      credentials: of the user; sent to Google's registries alone.

    Raises:
      UsageError: if it does not.
      RegistryUnreachable: if that cannot be found out.
    """
    image = parse(name)
    local = re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", image.registry)
    scheme = "http" if local else "https"
    session = AuthorizedSession(credentials) if image.is_google else requests.Session()
    address = f"{scheme}://{image.registry}/v2/{image.repository}/manifests/{image.reference}"
    try:
        answer = session.head(address, headers={"Accept": MANIFESTS}, timeout=TIMEOUT)
    except (requests.RequestException, GoogleAuthError) as error:
        raise RegistryUnreachable(
            f"{image.registry} cannot be reached ({type(error).__name__})"
        ) from error
    if answer.status_code == 404:
        raise UsageError(
            f"{image.registry} has no image {image.repository} with {image.reference}: build and "
            f"push it with scripts/build_image.sh --push {name}, or name another with --image."
        )
    if not answer.ok:
        raise RegistryUnreachable(f"{image.registry} answers {answer.status_code} {answer.reason}")
