"""Compares settings of TensorFlow's read cache for gs://, which the job sets where you did not.

    python scripts/bucket_benchmark.py --folder=gs://BUCKET/FOLDER

It writes 300 MiB of noise there and deletes it at the end. Without --folder it measures the
emulator of the tests, each of whose answers comes 30 ms late, as a bucket's in one's own region
does. Every figure comes from a process of its own, with eight threads, and each setting has its
turn --repeats times, of which the median counts.
"""

import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from absl import flags
from etils import epath

from trainer.commands import program
from trainer.commands.command import Command
from trainer.data import dataset
from trainer.system import gcs

IMAGES, IMAGE = 200, 200_000  # how many, and bytes of each
SHARDS, SHARD = 4, 48 * 2**20
MEMBERS = 300  # of the archive, as large as the images; a third of them is read
AT_ONCE = 8
DELAY = 30  # milliseconds of the emulator
NAMES = ("GCS_READ_CACHE_BLOCK_SIZE_MB", "GCS_READ_CACHE_MAX_SIZE_MB")
DEFAULTS = (64, 0)  # TensorFlow's own
SETTINGS = (DEFAULTS, (32, 0), (16, 0), (8, 0), (4, 0), (1, 0), (16, 256), (4, 256))
KINDS = {"images": "single images/s", "members": "of a .zip/s", "shards": "shards, MB/s"}
ROOT = Path(__file__).parents[1]


def write(folder: epath.Path) -> None:
    """Writes what is read."""
    noise = random.Random(0).randbytes(SHARD)
    with ThreadPoolExecutor(AT_ONCE) as pool, tempfile.TemporaryFile() as archive:
        names = [f"images/{number}" for number in range(IMAGES)]
        [*pool.map(lambda name: (folder / name).write_bytes(noise[:IMAGE]), names)]
        shards = [f"shards/{number}" for number in range(SHARDS)]
        [*pool.map(lambda name: (folder / name).write_bytes(noise), shards)]
        with zipfile.ZipFile(archive, "w") as members:
            for number in range(MEMBERS):
                members.writestr(str(number), noise[:IMAGE])
        archive.seek(0)
        (folder / "archive.zip").write_bytes(archive.read())


def rate(kind: str, folder: epath.Path) -> float:
    """Returns how much is read in a second, with the settings of the environment."""
    (folder / "images/0").read_bytes()  # signs in
    read, items, size = {
        "images": (_read_image, list(range(IMAGES)), 1.0),
        "members": (_read_member, random.Random(0).sample(range(MEMBERS), MEMBERS // 3), 1.0),
        "shards": (_copy_shard, list(range(SHARDS)), SHARD / 1e6),
    }[kind]
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda part: read(folder, part), _parts(items)):
            pass
    return len(items) * size / (time.perf_counter() - begun)


def _parts(items: Sequence[int]) -> list[Sequence[int]]:
    return [items[start::AT_ONCE] for start in range(min(AT_ONCE, len(items)))]


def _read_image(folder: epath.Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        (folder / f"images/{number}").read_bytes()


def _read_member(folder: epath.Path, numbers: Sequence[int]) -> None:
    with gcs.open_seekable(folder / "archive.zip") as file, zipfile.ZipFile(file) as archive:
        for number in numbers:
            archive.read(str(number))


def _copy_shard(folder: epath.Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        with (folder / f"shards/{number}").open("rb") as file, open(os.devnull, "wb") as nowhere:
            shutil.copyfileobj(file, nowhere, dataset.BLOCK)


@contextmanager
def emulator() -> Iterator[dict[str, str]]:
    """Runs the tests' bucket and yields the environment in which TensorFlow finds it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, ROOT / "tests" / "gcs.py", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server,
    ):
        assert server.stdin and server.stdout  # pipes
        environment = json.loads(server.stdout.readline())
        faults = json.dumps({"slow": 10**9, "milliseconds": DELAY}).encode()
        url = f"{environment['HTTPS_PROXY']}/faults"
        urllib.request.urlopen(urllib.request.Request(url, faults, method="PUT")).close()
        yield environment
        server.stdin.close()


def measured(kind: str, folder: str, setting: tuple[int, int]) -> float:
    """Returns `rate` of a process that has `setting`."""
    values = dict(zip(NAMES, map(str, setting), strict=True))
    command = [sys.executable, __file__, f"--folder={folder}", f"--only={kind}"]
    done = subprocess.run(command, env=os.environ | values, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def table(rates: dict[tuple[int, int], dict[str, float]]) -> str:
    """Returns the rates, and their ratios to TensorFlow's defaults."""
    lines = [
        f"{'block MiB':>9}{'cache MiB':>11}" + "".join(f"{title:>22}" for title in KINDS.values())
    ]
    for (block, cache), by_kind in rates.items():
        pairs = ((by_kind[kind], rates[DEFAULTS][kind]) for kind in KINDS)
        cells = (f"{rate:>14,.0f} {rate / default:6.2f}x" for rate, default in pairs)
        lines.append(f"{block:>9}{cache:>11}" + "".join(cells))
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    """Prints one rate, or starts the processes that do, and prints them in a table."""
    del argv
    given = flags.FLAGS
    if given.only:
        print(rate(given.only, epath.Path(given.folder)))
        return
    with ExitStack() as stack:
        if not given.folder:
            os.environ.update(stack.enter_context(emulator()))
        name = given.folder or "gs://bucket"
        folder = epath.Path(name) / f"bucket_benchmark-{os.getpid()}"
        stack.callback(folder.rmtree, missing_ok=True)
        write(folder)
        found: dict = {setting: {kind: [] for kind in KINDS} for setting in SETTINGS}
        for _, kind, setting in itertools.product(range(given.repeats), KINDS, SETTINGS):
            found[setting][kind].append(measured(kind, str(folder), setting))
    medians = {
        setting: {kind: statistics.median(values) for kind, values in by_kind.items()}
        for setting, by_kind in found.items()
    }
    print(f"{given.folder or f'the emulator, {DELAY} ms late'}; ratios to TensorFlow's defaults")
    print(table(medians))


if __name__ == "__main__":
    flags.DEFINE_string("folder", "", "where files are written and read, in a bucket")
    flags.DEFINE_integer("repeats", 3, "runs of each", lower_bound=1)
    flags.DEFINE_enum("only", None, list(KINDS), "what a process of the benchmark measures")
    program.run(main, Command(purpose=__doc__))
