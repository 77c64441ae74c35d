"""Compares how fast images are prepared with how fast the cores can decode them.

    python scripts/ingest_benchmark.py --source=chest_xray.zip [--workers=2] [--images=2000]

The peers get the same files, already in memory, in as many processes: Pillow decodes them to grey
and shrinks them (`convert("L")`, `thumbnail`), which is what the cores can decode, or decodes them
alone (`load()`, full size). Ours reads, checks, shrinks to --max_side, re-codes without loss and
hashes (`examine`), and also divides, writes ArrayRecord shards, reads them back and verifies
(`prepare`, once an image). Each is run --repeats times in turn, and the medians count; of a source
of fewer than --images, an image comes several times.

Rates are those of the clock; beside them is the processor time of all processes, which other work
on the same cores changes little.
"""

import copy
import functools
import io
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil
from absl import flags
from etils import epath
from PIL import Image

from trainer.commands import program
from trainer.commands.command import Command
from trainer.data import sources
from trainer.data.prepare import ingest, preparation
from trainer.system import memory

PEER = "shrink"
WHAT = {
    "shrink": "Pillow: decode, grey, shrink",
    "decode": "Pillow: decode",
    "examine": "ours: read, check, shrink, re-code, hash",
    "prepare": "ours: all of prepare",
}


@dataclass(frozen=True)
class First:
    """The first images of a source, as a source of their own."""

    whole: sources.Source
    count: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.whole, name)

    def __reduce__(self) -> tuple:  # a process that decodes reads from the whole
        return copy.copy, (self.whole,)

    def records(self) -> Sequence[sources.ImageRecord]:
        records = self.whole.records()
        return records[:: max(1, len(records) // self.count)][: self.count]


def decode(data: bytes) -> None:
    """Decodes a file and does nothing with it."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def shrink(data: bytes, side: int) -> None:
    """Decodes a file to grey and shrinks it as Pillow's manual has it."""
    with Image.open(io.BytesIO(data)) as image:
        image.convert("L").thumbnail((side, side), Image.Resampling.LANCZOS)


class Cost(NamedTuple):
    """Seconds of the clock and of the processor."""

    wall: float
    processor: float


def processor_seconds() -> float:
    """Returns the processor time of this process and of all that it started, ended ones too."""
    this = psutil.Process()
    return sum(sum(one.cpu_times()[:4]) for one in (this, *this.children(recursive=True)))


def cost(work: Callable[[], object]) -> Cost:
    """Returns what `work` takes."""
    start, used = time.perf_counter(), processor_seconds()
    work()
    return Cost(time.perf_counter() - start, processor_seconds() - used)


def prepare(source: First, options: ingest.DecodeOptions, workers: int) -> None:
    """Prepares a source into a folder that is then removed."""
    with tempfile.TemporaryDirectory() as folder:
        preparation.prepare(
            source,
            epath.Path(folder) / "out",
            max_side=options.max_side,
            uniform=options.uniform,
            workers=workers,
            max_skipped=1.0,
        )


def main(argv: Sequence[str]) -> None:
    """Prints the rates in one table."""
    del argv
    given = flags.FLAGS
    workers = given.workers or len(os.sched_getaffinity(0))
    source = First(sources.open_source(given.source), given.images)
    records = source.records()
    records_at_length = [*itertools.islice(itertools.cycle(records), given.images)]
    contents = {record: source.read(record) for record in records}
    files = [contents[record] for record in records_at_length]
    shrunk = functools.partial(shrink, side=given.max_side)
    options = ingest.DecodeOptions(given.max_side, uniform=given.uniform)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [ingest.__name__]
    )  # as `prepare` does where it starts the server
    costs: dict[str, list[Cost]] = {what: [] for what in WHAT}
    with context.Pool(workers) as pool:
        works: dict[str, Callable[[], object]] = {
            "shrink": lambda: pool.map(shrunk, files, chunksize=8),
            "decode": lambda: pool.map(decode, files, chunksize=8),
            "examine": lambda: [
                *ingest.examine_all(source, records_at_length, options, workers=workers)
            ],
            "prepare": lambda: prepare(source, options, workers),
        }
        pool.map(decode, files[: 8 * workers])
        for _ in range(given.repeats):
            for what, work in works.items():
                costs[what].append(cost(work))
    images = dict.fromkeys(WHAT, len(files)) | {"prepare": len(records)}
    each = {
        what: Cost(*(statistics.median(part) / images[what] for part in zip(*found, strict=True)))
        for what, found in costs.items()
    }
    print(
        f"{len(records):,} images of {given.source}, {workers} processes, "
        f"--max_side={given.max_side}; ratios to the first"
    )
    for name, what in WHAT.items():
        rate, peer = each[name], each[PEER]
        print(
            f"{what:<42}{1 / rate.wall:>9,.1f} images/s{peer.wall / rate.wall:>6.2f}"
            f"{1000 * rate.processor:>9.3f} ms each{peer.processor / rate.processor:>6.2f}"
        )
    peak = memory.peak_bytes() / memory.GIB
    print(f"largest resident memory of the process that writes: {peak:.2f} GiB")


if __name__ == "__main__":
    flags.DEFINE_string("source", None, "as of radiograph prepare", required=True)
    flags.DEFINE_integer("workers", 0, "processes; 0 for one a core", lower_bound=0)
    flags.DEFINE_integer("images", 2000, "that are decoded", lower_bound=1)
    flags.DEFINE_integer("max_side", 512, "longest side kept, pixels")
    flags.DEFINE_bool("uniform", False, "encodes every image alike")
    flags.DEFINE_integer("repeats", 3, "runs of each", lower_bound=1)
    program.run(main, Command(purpose=__doc__))
