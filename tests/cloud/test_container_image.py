"""An image's name is parsed as container tools do, and its registry is asked for it."""

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests
import yaml
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from trainer.cloud import container_image
from trainer.system.errors import UsageError

EMPTY = "application/vnd.oci.empty.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("trainer", ("docker.io", "trainer", "latest")),
        ("me/trainer:1", ("docker.io", "me/trainer", "1")),
        ("localhost/trainer:1", ("localhost", "trainer", "1")),
        ("127.0.0.1:5000/a/b:1.2-gpu", ("127.0.0.1:5000", "a/b", "1.2-gpu")),
        ("us-docker.pkg.dev/p/r/t:1", ("us-docker.pkg.dev", "p/r/t", "1")),
        (f"gcr.io/p/t:1@{DIGEST}", ("gcr.io", "p/t", DIGEST)),
    ],
)
def test_name_is_parsed(name: str, parts: tuple):
    assert container_image.parse(name) == parts


@pytest.mark.parametrize("name", ["", "gcr.io/Project/t:1", "gcr.io/p/t:1:2", "gcr.io/p/t@sha:1"])
def test_invalid_name_is_refused(name: str):
    with pytest.raises(UsageError, match="give REGISTRY/REPOSITORY:TAG"):
        container_image.parse(name)


@pytest.mark.parametrize(
    ("accelerator", "kind"), [("nvidia-l4", "gpu"), ("tpu-v5e", "tpu"), ("", "cpu")]
)
def test_default_image_is_the_one_for_the_accelerator(accelerator: str, kind: str):
    name = container_image.default(accelerator, "project", "europe-west4")
    assert name.startswith("europe-west4-docker.pkg.dev/project/radiographs/trainer:")
    assert name.endswith(f"-{kind}")


GOOGLES = "gcr.io us.gcr.io eu.gcr.io asia.gcr.io us-docker.pkg.dev europe-docker.pkg.dev "
GOOGLES += "us-central1-docker.pkg.dev northamerica-northeast1-docker.pkg.dev"
LOOK_ALIKES = "us-gcr.io my-gcr.io evilgcr.io evil.gcr.io a.us.gcr.io gcr.io.example.com "
LOOK_ALIKES += "gcr.io:5000 gcr.io@example.com GCR.IO docker.pkg.dev us.docker.pkg.dev "
LOOK_ALIKES += "evil.us-docker.pkg.dev us-central1-docker.pkg.dev.example.com "
LOOK_ALIKES += "us-central1-docker-pkg.dev us-central1-docker.pkg.dev:443 "
LOOK_ALIKES += "x.example-docker.pkg.dev -docker.pkg.dev"


@pytest.mark.parametrize(
    ("registry", "session"),
    [(name, AuthorizedSession) for name in GOOGLES.split()]
    + [(name, requests.Session) for name in LOOK_ALIKES.split()],
)
def test_only_googles_registries_get_a_token(
    registry: str, session: type, monkeypatch: pytest.MonkeyPatch
):
    sessions = []

    def head(self: requests.Session, address: str, **options) -> requests.Response:
        sessions.append(type(self))
        answer = requests.Response()
        answer.status_code = 200
        return answer

    monkeypatch.setattr(requests.Session, "head", head)
    container_image.check(f"{registry}/project/trainer:1", AnonymousCredentials())
    assert sessions == [session]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with the image radiographs/trainer:1."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs docker-registry, Debian's package of the same name")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": address},
    }
    (folder / "settings.yml").write_text(yaml.safe_dump(settings))
    server = subprocess.Popen(
        ["docker-registry", "serve", folder / "settings.yml"], stderr=subprocess.DEVNULL
    )
    try:
        _push(address, "radiographs/trainer", "1")
        yield address
    finally:
        server.terminate()
        server.wait(20)


def _push(registry: str, repository: str, tag: str) -> None:
    address, content = f"http://{registry}/v2/{repository}", b"{}"
    for _ in range(100):
        try:
            begun = requests.post(f"{address}/blobs/uploads/", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    place = begun.headers["Location"]
    requests.put(f"{place}&digest={digest}", content, timeout=5).raise_for_status()
    blob = {"mediaType": EMPTY, "digest": digest, "size": len(content)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blob, "layers": [blob]}
    put = requests.put(
        f"{address}/manifests/{tag}", json=manifest, headers={"Content-Type": MANIFEST}, timeout=5
    )
    put.raise_for_status()


def check(name: str) -> None:
    container_image.check(name, AnonymousCredentials())


def test_image_is_found_or_refused(registry: str):
    check(f"{registry}/radiographs/trainer:1")
    name = f"{registry}/radiographs/trainer:2"
    with pytest.raises(UsageError, match=f"scripts/build_image.sh --push {name}"):
        check(name)


def test_unreachable_registry_is_no_usage_error():
    with pytest.raises(container_image.RegistryUnreachable):
        check("127.0.0.1:1/radiographs/trainer:1")
