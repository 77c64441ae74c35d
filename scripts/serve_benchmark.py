"""Measures `radiograph serve` on this machine's loopback, against the network's own speed.

    python scripts/serve_benchmark.py EXPORT
    python scripts/serve_benchmark.py EXPORT --hostile=10000

The first prints requests/s and latencies at 1, 8 and 64 clients, each of which sends an image and
waits for its answer, beside what the SavedModel itself does in a process without a server, of as
many images (32 at most) at a time: from the bytes of the same files (`serving_default`), or from
pixels (`fitted`) where pixels are sent. The second sends good and hostile
requests, and ends with 1 if one is lost, one is answered with 5xx, or memory grows by over 5 %.
"""

import asyncio
import base64
import io
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from PIL import Image

from trainer.commands import program
from trainer.commands.command import Command
from trainer.data.synthetic import phantom
from trainer.system import tensorflow_import, terminal
from trainer.system.errors import ExitError

CLIENTS = (1, 8, 64)
BATCH = 32  # of the server
IMAGES = 16  # different ones
AT_ONCE = 16  # hostile requests
WARM_UP = 0.2  # share of the hostile requests, before memory is measured
MOST_GROWTH = 1.05
GONE = 0  # status of a client that does not wait for an answer
ROOT = Path(__file__).parents[1]
COMMAND = Command(
    "serve_benchmark",
    "measures radiograph serve",
    "python scripts/serve_benchmark.py EXPORT",
    arguments=("EXPORT",),
    common=("seconds", "hostile"),
)


class Request(NamedTuple):
    """What a client sends, in one go or in parts with pauses, and what it may be answered."""

    kind: str
    data: bytes
    statuses: tuple[int, ...] = (200,)
    parts: int = 1
    pause: float = 0.0


def main(argv: Sequence[str]) -> None:
    """Measures the server of the export that the command line names."""
    given, export = flags.FLAGS, Path(argv[1])
    files = [data for _, data in phantom.archive(IMAGES)]
    if given.hostile:
        with serving(export) as (port, pid):
            attack(port, pid, hostile(files), given.hostile)
        return
    fits = json.loads((export / "metadata.json").read_text())["fits"]
    own = own_speeds(export, files, fits[0]["image_size"], given.seconds)
    with serving(export) as (port, _):
        measure(port, requests(files, fits[0]["image_size"]), own, given.seconds)


def requests(files: Sequence[bytes], side: int) -> dict[str, list[bytes]]:
    """Returns requests of an image each, by the signature of the network that answers them."""
    squares = [
        np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((side, side))) for data in files
    ]
    encoded = [{"b64": base64.b64encode(data).decode()} for data in files]
    return {
        "predict, files": [predict({"instances": [data]}) for data in encoded],
        "predict, pixels": [
            predict({"signature_name": "fitted", "instances": [image[..., None].tolist()]})
            for image in squares
        ],
        "radiographs": [form([data]) for data in files],
    }


def own_speeds(
    export: Path, files: Sequence[bytes], side: int, seconds: float
) -> dict[str, dict[int, float]]:
    """Returns the images/s of the SavedModel in this process, by input and number of images."""
    tensorflow_import.import_quietly()
    import tensorflow as tf

    signatures = tf.saved_model.load(str(export / "saved_model/1")).signatures
    pixels = np.zeros((BATCH, side, side, 1), np.uint8)
    inputs: dict[str, tuple[str, dict[str, Any]]] = {
        "predict, files": ("serving_default", {"image_bytes": [*files, *files][:BATCH]}),
        "predict, pixels": ("fitted", {"fitted": pixels}),
    }
    found: dict[str, dict[int, float]] = {}
    for kind, (name, values) in inputs.items():
        found[kind] = {}
        for count in CLIENTS:
            batch = {key: tf.constant(value[: min(count, BATCH)]) for key, value in values.items()}
            rows = min(count, BATCH)
            signatures[name](**batch)
            began, runs = time.perf_counter(), 0
            while time.perf_counter() < began + seconds / 2:
                signatures[name](**batch)
                runs += 1
            found[kind][count] = rows * runs / (time.perf_counter() - began)
    return found | {"radiographs": found["predict, files"]}


def measure(
    port: int,
    requests: dict[str, list[bytes]],
    own: dict[str, dict[int, float]],
    seconds: float,
) -> None:
    """Prints a table of each kind of request at each number of clients."""
    rows: list[tuple[str, ...]] = [
        ("requests", "clients", "/s", "own/s", "ratio", "p50 ms", "p95", "p99")
    ]
    for kind, datas in requests.items():
        for clients in CLIENTS:
            load(port, datas, clients, min(1.0, seconds))
            times = load(port, datas, clients, seconds)
            speed, of_network = len(times) / max(seconds, *times), own[kind][clients]
            marks = [f"{1000 * np.quantile(times, q):.1f}" for q in (0.5, 0.95, 0.99)]
            figures = f"{speed:.0f}", f"{of_network:.0f}", f"{speed / of_network:.2f}"
            rows.append((kind, str(clients), *figures, *marks))
    print(terminal.aligned(rows))


def load(port: int, datas: Sequence[bytes], clients: int, seconds: float) -> list[float]:
    """Returns how long each request took that was answered within a time; one at least."""
    times: list[float] = []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for data in itertools.islice(itertools.cycle(datas), number, None):
            began = time.perf_counter()
            writer.write(data)
            status, _ = await answer(reader)
            if (now := time.perf_counter()) > deadline and times:
                break
            if status != 200:
                raise ExitError(f"a request was answered with {status}.")
            times.append(now - began)
        writer.close()

    async def all_clients() -> None:
        await asyncio.gather(*map(client, range(clients)))

    deadline = time.perf_counter() + seconds
    asyncio.run(all_clients())
    return times


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Returns status and body of the next response."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]) if length else 0)


def hostile(files: Sequence[bytes]) -> list[Request]:
    """Returns requests of each kind, the good ones more often."""
    image = Image.open(io.BytesIO(files[0]))
    png, blank = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG")
    Image.new("L", (7000, 7000)).save(blank, "PNG")
    claim = bytearray(png.getvalue())
    claim[16:24] = (60_000).to_bytes(4, "big") * 2
    claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    bomb, cut = bytes(claim), files[0][: len(files[0]) // 2]
    encoded = [{"b64": base64.b64encode(data).decode()} for data in (*files, cut, bomb)]
    good = [
        *(Request("radiograph", form([data])) for data in files),
        *(Request("files in rows", predict({"instances": [data]})) for data in encoded[:-2]),
        Request("several", form(files[:8])),
        Request("png", form([png.getvalue()])),
        Request("slow", form([files[1]]), parts=10, pause=0.05),
        Request("health", post(b"", "/readyz", method="GET")),
        Request("metrics", post(b"", "/metrics", method="GET")),
    ]
    huge = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2**18 + b"\r\n\r\n"
    large = b"POST /v1/radiographs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    bad = [
        Request("cut", form([cut]), (422,)),
        Request("cut among good", form([files[0], cut])),
        Request("bomb", form([bomb]), (422,)),
        Request("blank of 49 million pixels", form([blank.getvalue()]), (422,)),
        Request("cut in rows", predict({"instances": encoded[-2:-1]}), (400,)),
        Request("bomb in rows", predict({"instances": encoded[-1:]}), (413,)),
        Request("noise", form([random.Random(0).randbytes(50_000)]), (422,)),
        Request("no file", form([b""]), (422,)),
        Request("cut form", post(form_body([files[0]])[:-30], "/v1/radiographs", FORM), (400,)),
        Request("no form", post(b"x" * 1000, "/v1/radiographs", "text/plain"), (415,)),
        Request("too many files", form([b"x"] * 100), (413,)),
        Request("huge header", huge, (400,)),
        Request("large", large, (413,)),
        Request("no HTTP", b"\x16\x03\x01\x02\x00\r\n\r\n", (400,)),
        Request("no JSON", post(b"{'instances': 1}", PREDICT), (400,)),
        Request("deep JSON", post(b"[" * 100_000, PREDICT), (400,)),
        Request("wrong type", predict({"instances": [[1, [2]], True]}), (400,)),
        Request("many rows", predict({"instances": ["x"] * 5000}), (413,)),
        Request("nowhere", post(b"", "/v1/nowhere"), (404,)),
        Request("other method", post(b"", "/v1/radiographs", method="DELETE"), (405,)),
        Request("gone", form([files[0]])[:5000], (GONE,)),
        Request("silent", b"", (GONE,)),
    ]
    return good * 2 + bad


def attack(port: int, pid: int, kinds: Sequence[Request], count: int) -> None:
    """Sends requests and prints what became of them.

    Raises:
      ExitError: one was lost or answered with another status, or memory grew.
    """
    drawn = random.Random(0).choices(kinds, k=count)
    warm = int(count * WARM_UP)
    found = asyncio.run(send_all(port, drawn[:warm]))
    before, began = memory(pid), time.perf_counter()
    found += asyncio.run(send_all(port, drawn[warm:]))
    seconds, after = time.perf_counter() - began, memory(pid)
    statuses = Counter(status for _, status in found)
    wrong = Counter(
        f"{request.kind}: {status}" for request, status in found if status not in request.statuses
    )
    shown = ", ".join(
        f"{number:,} {f'with {status}' if status else 'gone'}"
        for status, number in sorted(statuses.items())
    )
    print(f"{count:,} requests of {len({k.kind for k in kinds})} kinds, {AT_ONCE} at once: {shown}")
    print(f"not as expected: {dict(wrong) or 'none'}")
    print(f"{(count - warm) / seconds:.0f} requests/s after the first {warm:,}")
    print(f"memory after the first {warm:,}: {before:.0f} MiB, at the end: {after:.0f} MiB")
    if wrong or after > MOST_GROWTH * before:
        raise ExitError("a request was lost or answered wrongly, or memory grew by over 5 %.")


async def send_all(port: int, drawn: Sequence[Request]) -> list[tuple[Request, int]]:
    """Returns each request with the status of its answer, -1 where it was lost."""
    waiting, found = iter(drawn), []

    async def client() -> None:
        for request in waiting:
            found.append((request, await send(port, request)))

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return found


async def send(port: int, request: Request) -> int:
    """Returns the status of the answer to a request on a connection of its own; -1 for none."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        size = -(-len(request.data) // request.parts) or 1
        for start in range(0, len(request.data), size):
            writer.write(request.data[start : start + size])
            await asyncio.sleep(request.pause)
        if request.statuses == (GONE,):
            return GONE
        async with asyncio.timeout(120):
            return (await answer(reader))[0]
    except (OSError, EOFError, TimeoutError):
        return -1
    finally:
        if writer:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def memory(pid: int) -> float:
    """Returns the memory of a process and those that it started, MiB."""
    total = 0
    for process in [pid, *descendants(pid)]:
        with suppress(OSError):
            rolled = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rolled, re.MULTILINE)[1])  # type: ignore[index]
    return total / 1024


def descendants(pid: int) -> Iterator[int]:
    """Yields the processes that one started, and those that they did."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                yield child
                yield from descendants(child)


@contextmanager
def serving(export: Path) -> Iterator[tuple[int, int]]:
    """Yields port and process of a server."""
    command = [sys.executable, "-m", "trainer", "serve", str(export), "--port=0", "--name=model"]
    command += [f"--batch={BATCH}", "--drain_seconds=0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise ExitError("the server did not start.")
            yield int(line.rpartition(":")[2]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(90)


PREDICT = "/v1/models/model:predict"
FORM = "multipart/form-data; boundary=zzzz"


def post(body: bytes, path: str, kind: str = "application/json", method: str = "POST") -> bytes:
    """Returns a request as it is sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def predict(document: object) -> bytes:
    """Returns a request in TensorFlow Serving's contract."""
    return post(json.dumps(document).encode(), PREDICT)


def form(files: Sequence[bytes]) -> bytes:
    """Returns a request with files."""
    return post(form_body(files), "/v1/radiographs", FORM)


def form_body(files: Sequence[bytes]) -> bytes:
    """Returns the body of a request with files."""
    head = b'--zzzz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return b"".join(head + data + b"\r\n" for data in files) + b"--zzzz--\r\n"


def define_flags() -> None:
    """Defines the flags of this script."""
    flags.DEFINE_float("seconds", 10.0, "time of each measurement", 0.1)
    flags.DEFINE_integer("hostile", 0, "number of requests, good and hostile", lower_bound=0)


if __name__ == "__main__":
    define_flags()
    program.run(main, COMMAND)
