"""A bucket, gs://bucket, for TensorFlow's own client: `python tests/gcs.py FOLDER`.

TensorFlow knows no emulator, but an HTTPS proxy and certificates of one's own: a proxy here answers
for *.googleapis.com over TLS with gcp-storage-emulator, and can be asked to fail.

It prints, in a line of JSON, the environment in which TensorFlow finds it, and ends when its
standard input does. On the port of HTTPS_PROXY, PUT /faults takes {name: number} in place of what
was ordered before:
  unavailable: the next so many downloads are answered with 503
  dropped:     the next so many large downloads end half way
  wrong:       the next so many large downloads have one bit turned
  slow:        the next so many downloads take `milliseconds` more
  uploads:     the next so many requests of an upload are answered with 503
  read_only:   1 for a bucket that cannot be written
  private:     1 for a bucket that nobody without credentials may read
and GET /requests returns the downloads so far, in a list of paths.
"""

import datetime
import io
import json
import re
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage

HOSTS = "*.googleapis.com"
LAYOUT = re.compile(r"/storage/v1/b/[^/]+/storageLayout")
DOWNLOAD = re.compile(r"/bucket/[^?]+")
GENERATION = re.compile(r"[?&]ifGenerationMatch=(\d+)")
NAME = re.compile(rb'"name": ?"([^"]+)"')
UPLOAD = re.compile(r"/upload/.*")
FAULTS = {
    **dict.fromkeys(("unavailable", "dropped", "wrong", "slow", "uploads"), 0),
    **{"milliseconds": 200, "read_only": 0, "private": 0},
}
LARGE = 20_000  # bytes; a smaller answer is whole and right
PEM = serialization.Encoding.PEM


class Request(emulator.Request):
    """The emulator's, with an upload of no bytes allowed: TensorFlow marks folders so."""

    @property
    def data(self) -> object:
        uploaded = super().data
        return b"" if uploaded is None and "media" in self.query.get("uploadType", []) else uploaded


emulator.Request = Request


class Objects(emulator.RequestHandler):
    """What storage.googleapis.com and www.googleapis.com answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms
    one_at_a_time = threading.Lock()

    def __init__(self, bucket: "Bucket", *connection: object):
        self.bucket = bucket
        super().__init__(bucket.storage, *connection)

    def send_header(self, keyword: str, value: str) -> None:
        # A resumable upload goes on at this address.
        super().send_header(keyword, re.sub("^http:", "https:", value))

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _answer(self) -> None:
        self._take_body()
        if LAYOUT.fullmatch(self.path.split("?")[0]):
            # The emulator lacks it; TensorFlow asks before it renames a folder.
            return self._send(200, {"hierarchicalNamespace": {"enabled": False}})
        if self.bucket.faults["private"] and "Authorization" not in self.headers:
            return self._send(401, {"error": {"code": 401, "message": "anonymous caller"}})
        if UPLOAD.fullmatch(self.path) and self.bucket.fails("uploads"):
            return self._send(503, {"error": {"code": 503, "message": "try again"}})
        if self.headers.get("Content-Range", "").startswith("bytes */"):
            return self._send(308, {})  # how much has arrived: nothing, as it does at once or not
        if self.command != "GET" and self.bucket.faults["read_only"]:
            return self._send(403, {"error": {"code": 403, "message": "read-only bucket"}})
        download = self.command == "GET" and DOWNLOAD.fullmatch(self.path)
        if download:
            self.bucket.downloads.append(self.path)
        if download and self.bucket.fails("unavailable"):
            return self._send(503, {"error": {"code": 503, "message": "try again"}})
        if download and self.bucket.fails("slow"):
            time.sleep(self.bucket.faults["milliseconds"] / 1000)
        outside, self.wfile = self.wfile, io.BytesIO()
        with self.one_at_a_time:
            if not self._precondition_holds():
                self.wfile = outside
                return self._send(412, {"error": {"code": 412, "message": "another generation"}})
            emulator.Router(self).handle(self.command)
        answer, self.wfile = self.wfile.getvalue(), outside
        if download and len(answer) > LARGE and self.bucket.fails("dropped"):
            answer = answer[: len(answer) // 2]
            self.close_connection = True
        if download and len(answer) > LARGE and self.bucket.fails("wrong"):
            place = len(answer) // 4
            answer = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def _take_body(self) -> None:
        """Reads what was sent; TensorFlow announces both a length and chunks, and sends chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for name in ("Transfer-Encoding", "Content-Length"):
            del self.headers[name]
        self.headers["Content-Length"] = str(len(body))
        self._outside, self.rfile = self.rfile, io.BytesIO(body)

    def _precondition_holds(self) -> bool:
        """Tells whether the object has the generation named; the emulator does not look.

        TensorFlow, which names one too, gives the object's name in the query.
        """
        expected, named = GENERATION.search(self.path), NAME.search(self.rfile.getvalue())
        name = unquote(self.path.split("?")[0].partition("/o/")[2])
        if not expected or not (name or named):
            return True
        name = name or named[1].decode()
        try:
            found = self.bucket.storage.get_file_obj("bucket", name)["generation"]
        except NotFound:
            found = "0"
        return str(found) == expected[1]

    def handle_one_request(self) -> None:
        self._outside = self.rfile
        super().handle_one_request()
        self.rfile = self._outside

    def _send(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Bucket:
    """The bucket, what it is to fail at, and what was asked of it."""

    def __init__(self):
        self.storage = Storage(use_memory_fs=True)
        buckets.create_bucket("bucket", self.storage)
        self.faults = dict(FAULTS)
        self.downloads: list[str] = []
        self._lock = threading.Lock()

    def fails(self, fault: str) -> bool:
        """Tells whether this request fails so, and counts it."""
        with self._lock:
            left = self.faults[fault]
            self.faults[fault] = max(0, left - 1)
        return left > 0


class Proxy(BaseHTTPRequestHandler):
    """Leads connections to googleapis.com to `Objects`, and takes orders."""

    def __init__(self, bucket: Bucket, inside: int, *connection: object):
        self.bucket, self.inside = bucket, inside
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        host = self.path.rsplit(":", 1)[0]
        if not host.endswith(".googleapis.com"):
            return self.send_error(403, "only googleapis.com is here")
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.inside)) as inner:
            for end in (inner, self.connection):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(inner, self.connection))
            back.start()
            _pump(self.connection, inner)
            back.join()
        self.close_connection = True

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.bucket.faults = FAULTS | json.loads(content)
        self._send(self.bucket.faults)

    def do_GET(self) -> None:
        self._send(self.bucket.downloads)

    def _send(self, content: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(2**16):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    named = {n: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, issuer)}
    builder = x509.CertificateBuilder().subject_name(named[name]).issuer_name(named[issuer])
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    if name == issuer:
        return builder.add_extension(x509.BasicConstraints(True, None), True).sign(
            signer, hashes.SHA256()
        )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    names = x509.SubjectAlternativeName([x509.DNSName(HOSTS)])
    builder = builder.add_extension(names, False).add_extension(usage, False)
    return builder.sign(signer, hashes.SHA256())


def _tls(folder: Path) -> ssl.SSLContext:
    """Writes ca.pem and returns a context whose certificate it has signed."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    signed = _certificate("authority of a test", authority, "authority of a test", authority)
    (folder / "ca.pem").write_bytes(signed.public_bytes(PEM))
    signed = _certificate("bucket of a test", own, "authority of a test", authority)
    private = own.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "own.pem").write_bytes(signed.public_bytes(PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    return context


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _environment(port: int, folder: Path) -> dict[str, str]:
    proxy, here = f"http://127.0.0.1:{port}", "127.0.0.1,localhost"
    return {
        **{"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": here, "no_proxy": here},
        **dict.fromkeys(("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), str(folder / "ca.pem")),
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "a test's",
        "NO_GCE_CHECK": "true",
    }


def main(folder: Path) -> None:
    bucket = Bucket()
    inside = Server(("127.0.0.1", 0), lambda *connection: Objects(bucket, *connection))
    # The handshake is left to the connection's own thread.
    inside.socket = _tls(folder).wrap_socket(
        inside.socket, server_side=True, do_handshake_on_connect=False
    )
    port = inside.server_address[1]
    outside = Server(("127.0.0.1", 0), lambda *connection: Proxy(bucket, port, *connection))
    for server in (inside, outside):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps(_environment(outside.server_address[1], folder)), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
