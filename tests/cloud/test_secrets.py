"""Credentials are sent to the service, and are found nowhere else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from etils import epath

from tests.cloud import programs
from tests.cloud.vertex_server import Vertex

ROOT = Path(__file__).parents[2]
TOKEN = "ya29.a-token-of-a-test"


class Tokens(BaseHTTPRequestHandler):
    """Gives everyone the token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    """The key of a service account, whose tokens come from this machine."""
    server = HTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "me@project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{server.server_port}/token",
    }
    file = tmp_path / "key.json"
    file.write_text(json.dumps(key))
    yield file
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("ending", ["submitted", "refused", "dry"])
def test_credentials_are_neither_printed_nor_written(
    gcs, key_file: Path, phantoms: epath.Path, tmp_path: Path, ending: str
):
    vertex, bucket, folder = Vertex(), gcs.bucket(), tmp_path / "cwd"
    folder.mkdir()
    if ending == "refused":
        vertex.failures = [(403, {"message": "Permission denied."}, {})]
    done = programs.run(
        *("submit", f"--config={ROOT}/configs/article.py", f"--data={phantoms}"),
        *(f"--workdir=gs://{bucket}/runs/first", "--accelerator=cpu", "--verbosity=1"),
        *("--image=127.0.0.1:1/trainer:1", *["--dry_run"] * (ending == "dry")),
        environment={
            **gcs.environment,
            **vertex.environment,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "false",
            "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        },
        folder=folder,
    )
    vertex.close()
    assert done.returncode == (2 if ending == "refused" else 0), done.stderr
    if ending != "dry":
        assert {asked.headers["authorization"] for asked in vertex.asked} == {f"Bearer {TOKEN}"}
    secret = json.loads(key_file.read_text())["private_key"].splitlines()[1]
    kept = [
        done.stdout,
        done.stderr,
        *(file.read_text() for file in folder.rglob("*") if file.is_file()),
    ]
    kept += [json.dumps(body) for body in vertex.posted()]
    for text in kept:
        assert TOKEN not in text and secret not in text and str(key_file) not in text
