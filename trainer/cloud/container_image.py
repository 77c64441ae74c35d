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

# Whole names alone: anybody can have a registry whose name ends like one of these.
GOOGLES = re.compile(r"((us|eu|asia)\.)?gcr\.io|[a-z]+(-[a-z]+[0-9]+)?-docker\.pkg\.dev")
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


class NotTold(Exception):
    """Why the registry cannot be asked."""


class Image(NamedTuple):
    """An image's name in its parts; `reference` is a tag, or a digest with its algorithm."""

    registry: str
    repository: str
    reference: str

    @property
    def is_googles(self) -> bool:
        """Whether its registry takes Google's tokens."""
        return GOOGLES.fullmatch(self.registry) is not None


def default(accelerator: str, project: str, region: str) -> str:
    """Returns the name under which docs/cloud.md has the image built.

    Args:
      accelerator: as in --accelerator.
      project: that holds it.
      region: of its registry.
    """
    kind = {"nvi": "gpu", "tpu": "tpu"}.get(accelerator.lower()[:3], "cpu")
    return f"{region}-docker.pkg.dev/{project}/radiographs/trainer:{__version__}-{kind}"


def parse(name: str) -> Image:
    """Returns the parts of an image's name.

    Raises:
      UsageError: if it is none.
    """
    registry, slash, rest = name.partition("/")
    if not slash or not re.search(r"[.:]|^localhost$", registry):
        registry, rest = "docker.io", name
    matched = re.fullmatch(r"([a-z0-9._/-]+)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?", rest)
    if not matched:
        raise UsageError(
            f"--image={name} is no image's name: give REGISTRY/REPOSITORY:TAG, such as "
            "us-central1-docker.pkg.dev/PROJECT/radiographs/trainer:TAG, in lower case."
        )
    repository, tag, digest = matched.groups()
    return Image(registry, repository, digest or tag or "latest")


def check(name: str, credentials: Credentials) -> None:
    """Makes sure that the registry has the image.

    Args:
      name: of the image.
      credentials: of the user, which only Google's registries get.

    Raises:
      UsageError: if it has not.
      NotTold: if it does not say.
    """
    image = parse(name)
    local = re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", image.registry)
    scheme = "http" if local else "https"
    session = AuthorizedSession(credentials) if image.is_googles else requests.Session()
    address = f"{scheme}://{image.registry}/v2/{image.repository}/manifests/{image.reference}"
    try:
        answer = session.head(address, headers={"Accept": MANIFESTS}, timeout=TIMEOUT)
    except (requests.RequestException, GoogleAuthError) as error:
        raise NotTold(f"{image.registry} cannot be asked ({type(error).__name__})") from error
    if answer.status_code == 404:
        raise UsageError(
            f"{image.registry} has no image {image.repository} with {image.reference}: build and "
            f"push it with scripts/build_image.sh --push {name}, or name another with --image."
        )
    if not answer.ok:
        raise NotTold(f"{image.registry} answers {answer.status_code} {answer.reason}")
