"""An image's name is read as container tools read it, and its registry is asked for it."""

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
def test_a_name_has_its_parts(name: str, parts: tuple):
    assert container_image.parse(name) == parts


@pytest.mark.parametrize("name", ["", "gcr.io/Project/t:1", "gcr.io/p/t:1:2", "gcr.io/p/t@sha:1"])
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(UsageError, match="give REGISTRY/REPOSITORY:TAG"):
        container_image.parse(name)


@pytest.mark.parametrize(
    ("accelerator", "kind"), [("nvidia-l4", "gpu"), ("tpu-v5e", "tpu"), ("", "cpu")]
)
def test_the_default_is_the_one_for_the_accelerator(accelerator: str, kind: str):
    named = container_image.default(accelerator, "project", "europe-west4")
    assert named.startswith("europe-west4-docker.pkg.dev/project/radiographs/trainer:")
    assert named.endswith(f"-{kind}")


@pytest.mark.parametrize(
    "registry",
    [
        "gcr.io",
        "us.gcr.io",
        "eu.gcr.io",
        "asia.gcr.io",
        "us-docker.pkg.dev",
        "europe-docker.pkg.dev",
    ]
    + ["us-central1-docker.pkg.dev", "northamerica-northeast1-docker.pkg.dev"],
)
def test_googles_registries_take_its_tokens(registry: str):
    assert container_image.parse(f"{registry}/project/trainer:1").is_google


@pytest.mark.parametrize(
    "registry",
    [
        "us-gcr.io",
        "my-gcr.io",
        "evilgcr.io",
        "evil.gcr.io",
        "a.us.gcr.io",
        "gcr.io.example.com",
        "gcr.io:5000",
        "gcr.io@example.com",
        "GCR.IO",
        "docker.pkg.dev",
        "us.docker.pkg.dev",
        "evil.us-docker.pkg.dev",
        "us-central1-docker.pkg.dev.example.com",
        "us-central1-docker-pkg.dev",
        "us-central1-docker.pkg.dev:443",
        "x.example-docker.pkg.dev",
        "-docker.pkg.dev",
    ],
)
def test_registry_with_a_name_like_googles_gets_no_token(
    registry: str, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def head(session: requests.Session, address: str, **options) -> requests.Response:
        asked.append(type(session))
        answer = requests.Response()
        answer.status_code = 200
        return answer

    monkeypatch.setattr(requests.Session, "head", head)
    container_image.check(f"{registry}/project/trainer:1", AnonymousCredentials())
    assert asked == [requests.Session]
    container_image.check("gcr.io/project/trainer:1", AnonymousCredentials())
    assert asked[-1] is AuthorizedSession


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
            began = requests.post(f"{address}/blobs/uploads/", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    place = began.headers["Location"]
    requests.put(f"{place}&digest={digest}", content, timeout=5).raise_for_status()
    blob = {"mediaType": EMPTY, "digest": digest, "size": len(content)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blob, "layers": [blob]}
    put = requests.put(
        f"{address}/manifests/{tag}", json=manifest, headers={"Content-Type": MANIFEST}, timeout=5
    )
    put.raise_for_status()


def check(name: str) -> None:
    container_image.check(name, AnonymousCredentials())


def test_an_image_that_is_there_is_found(registry: str):
    check(f"{registry}/radiographs/trainer:1")


def test_an_image_that_is_not_there_is_refused_with_how_to_build_it(registry: str):
    name = f"{registry}/radiographs/trainer:2"
    with pytest.raises(UsageError, match=f"scripts/build_image.sh --push {name}"):
        check(name)


def test_a_registry_that_does_not_answer_proves_nothing():
    with pytest.raises(container_image.RegistryUnreachable, match="cannot be reached"):
        check("127.0.0.1:1/radiographs/trainer:1")
