"""The peak memory of a process is its own."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.system.errors import UsageError
from trainer.system.memory import (
    GIB,
    LEAST_ADDRESS_SPACE,
    check_address_space,
    free_bytes,
    peak_gib,
)

CHILD = """
from trainer.system.memory import peak_bytes
before = peak_bytes()
more = b"x" * 2**27
print(before, peak_bytes() - before)
"""


def test_peak_grows_with_what_a_process_holds_and_not_with_its_parent():
    parent = np.ones(2**26)  # 512 MiB
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, growth = map(int, done.stdout.split())
    assert before < 100 * 2**20 < growth
    peaks = peak_gib(["/job:localhost/replica:0/task:0/device:CPU:0"])
    assert list(peaks) == ["host"] and peaks["host"] > parent.nbytes / GIB


@pytest.mark.parametrize("allowed", [2**31, LEAST_ADDRESS_SPACE, resource.RLIM_INFINITY])
def test_too_little_address_space_is_refused_before_readers_stand_still(
    allowed: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (allowed, resource.RLIM_INFINITY))
    if allowed != 2**31:
        check_address_space()
        return
    with pytest.raises(
        UsageError, match=r"2.00 GiB of address space \(ulimit -v\), and .* 4.00 GiB"
    ):
        check_address_space()


def describe(root: Path, group: str, files: dict[str, str]) -> dict[str, Path]:
    """Writes 8 GiB of free memory, a process's cgroup, and files of cgroups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {2**24} kB\nMemAvailable: {2**23} kB\n")
    (root / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        (root / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "groups" / name).write_text(text)
    return {"proc": root / "proc", "cgroups": root / "groups"}


def test_free_memory_is_that_of_the_machine_or_of_a_cgroup_with_less(tmp_path: Path):
    unlimited = {"memory.max": "max\n", "memory.current": "0", "memory.stat": "inactive_file 0"}
    job = {"job/memory.max": f"{4 * GIB}", "job/memory.current": f"{2 * GIB}"}
    job |= {"job/memory.stat": f"anon 1\ninactive_file {GIB}\n"}
    step = {f"job/step/{name}": text for name, text in unlimited.items()}
    second = describe(tmp_path / "2", "0::/job/step\n", unlimited | job | step)
    assert free_bytes(**second) == 3 * GIB
    first = {"limit_in_bytes": f"{2 * GIB}", "usage_in_bytes": f"{GIB}", "stat": "cache 1"}
    files = {f"memory/memory.{name}": text for name, text in first.items()}
    group = "4:memory:/of/the/host\n0::/\n"
    assert free_bytes(**describe(tmp_path / "1", group, files)) == GIB
    assert free_bytes(**describe(tmp_path / "none", "0::/\n", {})) == 8 * GIB


def test_free_memory_of_this_process_is_some_and_no_more_than_the_machine_has():
    assert 0 < free_bytes() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
