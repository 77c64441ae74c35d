"""The benchmark of a bucket's read cache reads what it has written, all of it."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = f"""
import json, runpy
from etils import epath
benchmark = runpy.run_path({str(ROOT / "scripts/bucket_benchmark.py")!r})
benchmark["write"].__globals__.update(IMAGES=4, MEMBERS=6, SHARDS=2, SHARD=2**21)
folder = epath.Path("gs://bucket/benchmark")
benchmark["write"](folder)
print(json.dumps({{kind: benchmark["rate"](kind, folder) for kind in benchmark["KINDS"]}}))
"""


@pytest.mark.slow
def test_every_kind_of_file_is_read(bucket):
    done = bucket.run("-c", SMALL)
    assert done.returncode == 0, done.stderr
    assert all(rate > 0 for rate in json.loads(done.stdout).values())
    read = {name.rpartition("benchmark%2F")[2] for name in bucket.downloads()}
    shards = {f"shards%2F{number}" for number in range(2)}
    assert read == {*(f"images%2F{number}" for number in range(4)), *shards, "archive.zip"}


def test_ratios_are_to_tensorflows_defaults():
    benchmark = runpy.run_path(str(ROOT / "scripts/bucket_benchmark.py"))
    rates = {(64, 0): dict.fromkeys(benchmark["KINDS"], 20.0)}
    rates[8, 0] = dict.fromkeys(benchmark["KINDS"], 50.0)
    defaults, other = benchmark["table"](rates).splitlines()[1:]
    assert defaults.count("1.00x") == 3 and other.count("2.50x") == 3
