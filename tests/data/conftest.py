"""What the tests of data share: a bucket."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Bucket:
    """gs://bucket, as a subprocess with `environment` sees it."""

    port: int
    environment: dict[str, str]

    def fail(self, **faults: int) -> None:
        """Orders faults, see tests/gcs.py."""
        self._ask("PUT", "/faults", json.dumps(faults))

    def downloads(self) -> list[str]:
        """Returns the path of every object that was read."""
        return self._ask("GET", "/requests")

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs Python in a process that can reach the bucket."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def _ask(self, method: str, path: str, body: str | None = None) -> object:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body)
        return json.loads(connection.getresponse().read())


@pytest.fixture(scope="module")
def running_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    for module in ("gcp_storage_emulator", "cryptography"):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}, of requirements/test.txt")
    folder = tmp_path_factory.mktemp("bucket")
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "gcs.py", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(server.stdout.readline())
        proxy = f"http://127.0.0.1:{port}"
        here = "127.0.0.1,localhost"
        environment = {
            **os.environ,
            **{"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": here, "no_proxy": here},
            "CURL_CA_BUNDLE": str(folder / "ca.pem"),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "a test's",
            "NO_GCE_CHECK": "true",
            "GCS_RETRY_CONFIG_MAX_RETRIES": "1",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000",
        }
        yield Bucket(port, environment)
    finally:
        server.stdin.close()
        server.wait(20)


@pytest.fixture
def bucket(running_bucket: Bucket) -> Bucket:
    """A bucket that works, shared by the tests of a file."""
    running_bucket.fail(unavailable=0, dropped=0, wrong=0, read_only=0)
    return running_bucket
