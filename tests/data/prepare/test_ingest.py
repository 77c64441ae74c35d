"""Files are decoded in order by processes that may die, a bounded number ahead."""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from trainer.data import sources
from trainer.data.audit import inspection
from trainer.data.decode import recode
from trainer.data.prepare import ingest
from trainer.data.sources import ImageRecord
from trainer.system import processes
from trainer.system.errors import CannotWrite

OPTIONS = ingest.DecodeOptions(max_side=64)
MISBEHAVING = """
import os, signal, time
from pathlib import Path

class Source:
    identifying = False
    columns: tuple[str, ...] = ()

    def __init__(self, image, killed=(), endless=(), log="", killed_once=()):
        self.image, self.killed, self.endless, self.log = image, killed, endless, log
        self.killed_once = killed_once

    def read(self, record):
        if self.log:
            with open(self.log, "a") as file:
                file.write(record.name + "\\n")
        if record.name in self.killed_once and not Path(self.log + record.name).exists():
            Path(self.log + record.name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if record.name in self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if record.name in self.endless:
            time.sleep(1000)
        if record.name == "unreadable":
            raise PermissionError(13, "Permission denied", "/home/jane_doe.png")
        return self.image
"""


@pytest.fixture(scope="module")
def phantom() -> sources.Source:
    return sources.open_source("phantom:20")


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantom: sources.Source):
    """Makes a source, of a module that other processes can import."""
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "misbehaving", raising=False)
    import misbehaving

    image = phantom.read(phantom.records()[0])
    return lambda **faults: misbehaving.Source(image, **faults)


def named(count: int) -> list[ImageRecord]:
    return [ImageRecord(str(number), (0,), "P") for number in range(count)]


def test_two_processes_give_the_results_of_one_in_the_same_order(phantom: sources.Source):
    known = phantom.records()
    records = [*known, replace(known[0], patient="")]
    found = list(ingest.examine_all(phantom, records, OPTIONS, workers=2))
    assert found == [ingest.examine(phantom, OPTIONS, record) for record in records]
    data = phantom.read(records[7])
    assert found[7].digest == hashlib.sha256(data).digest()
    assert found[7].image == recode.recode(data, 64)
    assert found[-1].fingerprint and not any(file.fingerprint for file in found[:-1])


def test_reasons_hold_no_paths(misbehaving):
    source = misbehaving()
    refused = ImageRecord("a", (0,), "P", refused="a link")
    assert ingest.examine(source, OPTIONS, refused).reason == "a link"
    unreadable = ingest.examine(source, OPTIONS, ImageRecord("unreadable", (0,), "P"))
    assert unreadable.reason == "cannot be read: Permission denied"


def test_a_file_that_kills_or_blocks_its_process_costs_itself_alone(misbehaving):
    source = misbehaving(killed=("3", "20"), endless=("9",))
    found = list(ingest.examine_all(source, named(40), OPTIONS, workers=2, seconds=3.0))
    crash = "decoding it ended its process (a crash, or too little memory)"
    assert {n: f.reason for n, f in enumerate(found) if f.reason} == {
        **{3: crash, 9: "decoding it took more than 3 s", 20: crash}
    }


def test_file_whose_process_was_killed_once_is_not_lost(misbehaving, tmp_path: Path):
    source = misbehaving(log=str(tmp_path / "log"), killed_once=("0", "7", "8"))
    found = list(ingest.examine_all(source, named(20), OPTIONS, workers=2))
    assert len(found) == 20 and not any(file.reason for file in found)


def test_audit_survives_a_file_that_kills_its_decoder(misbehaving):
    source = misbehaving(killed=("3",))
    files = inspection.inspect_all(source, named(6), in_threads=False)
    assert [bool(file.reason) for file in files] == [number == 3 for number in range(6)]
    assert [file.record for file in files] == named(6)


def test_processes_that_always_die_end_in_a_sentence(misbehaving):
    source = misbehaving(killed=tuple(str(number) for number in range(100)))
    with pytest.raises(CannotWrite, match="enough memory"):
        list(ingest.examine_all(source, named(100), OPTIONS, workers=2))


def children() -> list[int]:
    """Returns the running processes that this one started, or their children."""
    found = psutil.Process().children(recursive=True)
    return [child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE]


def test_a_bounded_number_is_read_ahead_and_nothing_is_left_running(misbehaving, tmp_path: Path):
    log, before = tmp_path / "log", set(children())
    found = ingest.examine_all(misbehaving(log=str(log)), named(500), OPTIONS, workers=2)
    next(found)
    time.sleep(1)
    assert len(log.read_text().split()) <= 2 * processes.AHEAD
    started = set(children()) - before
    assert len(started) >= 2
    found.close()
    # The server that they are forked from, and multiprocessing's tracker.
    assert len(started & set(children())) <= 2


@pytest.mark.slow
def test_they_end_with_a_parent_that_is_killed(tmp_path: Path):
    (tmp_path / "parent.py").write_text(
        "from trainer.data.prepare import ingest; from trainer.data import sources\n"
        "if __name__ == '__main__':\n"
        "    source = sources.open_source('phantom:40')\n"
        "    options = ingest.DecodeOptions(64)\n"
        "    found = ingest.examine_all(source, source.records(), options, workers=2)\n"
        "    next(found)\n"
        "    print('begun', flush=True)\n"
        "    import time; time.sleep(100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout.readline()
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 3
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
