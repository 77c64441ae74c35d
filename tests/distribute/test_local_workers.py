"""Workers on this machine, with small programs in place of the training job."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer.distribute import local_workers
from trainer.system.errors import UsageError

ROOT = Path(__file__).parents[2]

# Every worker's program begins with this: who it is, which start this is (counted in its folder),
# and a way to say that it is ready.
PREAMBLE = """
import json, os, pathlib, signal, sys, time

place = json.loads(os.environ["TF_CONFIG"])
me = place["task"]["index"]
count = pathlib.Path(f"starts-{me}")
start = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (start + 1))

def ready():
    pathlib.Path(f"ready-{me}").write_text(str(os.getpid()))
"""

LAUNCH = """
import json, pathlib, sys
from trainer.distribute.local_workers import launch

newest = lambda: pathlib.Path("saved").exists() and pathlib.Path("saved").read_text() or None
code = launch(**json.loads(sys.argv[1]), newest_checkpoint=newest)
assert "tensorflow" not in sys.modules
sys.exit(code)
"""

STUBBORN = """
ready()
time.sleep(60)
"""

OBEDIENT = """
def stop(number, _):
    print("saved", flush=True)
    sys.exit(128 + number)

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, stop)
ready()
time.sleep(60)
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Launches workers that run a program in tmp_path, in a process of its own."""
    begun = []

    def begin(program: str, workers: int = 2, **arguments) -> subprocess.Popen:
        # Without site-packages, to start faster.
        command = [sys.executable, "-S", "-c", PREAMBLE + program]
        arguments |= {"command": command, "workers": workers}
        variables = {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, json.dumps(arguments)],
            **{"cwd": tmp_path, "env": {**os.environ, **variables}, "text": True},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def run(begin: Callable[..., subprocess.Popen]) -> Callable[..., subprocess.CompletedProcess]:
    def run(program: str, workers: int = 2, **arguments) -> subprocess.CompletedProcess:
        process = begin(program, workers, **arguments)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def starts(folder: Path) -> list[int]:
    """How often each worker was started."""
    return [len(path.read_text()) for path in sorted(folder.glob("starts-*"))]


def until(condition: Callable[[], bool]) -> bool:
    """Waits until the condition holds, and says whether it came to."""
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def pids(folder: Path, workers: int = 2) -> list[int]:
    """The processes of the workers, once all are ready."""
    files = [folder / f"ready-{index}" for index in range(workers)]
    assert until(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_every_worker_is_told_its_place_in_one_cluster(run, tmp_path: Path):
    tell = """
pathlib.Path(f"place-{me}-{start}").write_text(json.dumps(place))
sys.exit(0 if start else 75)
"""
    assert run(tell, workers=3, max_restarts=1).returncode == 0
    clusters = []
    for start in (0, 1):
        places = [json.loads((tmp_path / f"place-{i}-{start}").read_text()) for i in range(3)]
        assert [p["task"] for p in places] == [{"type": "worker", "index": i} for i in range(3)]
        assert places[0]["cluster"] == places[1]["cluster"] == places[2]["cluster"]
        clusters.append(set(places[0]["cluster"]["worker"]))
        assert len(clusters[-1]) == 3 and all(a.startswith("127.0.0.1:") for a in clusters[-1])
    assert clusters[0] != clusters[1]  # a restart takes ports of its own


def test_the_lines_of_several_workers_are_whole_and_say_whose_they_are(run):
    write = """
for line in range(200):
    sys.stdout.write("a" * 5000); sys.stdout.flush(); sys.stdout.write("b\\n")
    sys.stderr.write("c\\n")
sys.stdout.write("the end")
"""
    done = run(write)
    for index in (0, 1):
        mine = [line for line in done.stdout.splitlines() if line.startswith(f"[worker {index}] ")]
        assert mine == [f"[worker {index}] {'a' * 5000}b"] * 200 + [f"[worker {index}] the end"]
        assert done.stderr.splitlines().count(f"[worker {index}] c") == 200
    assert len(done.stdout.splitlines()) == 402 and len(done.stderr.splitlines()) == 400


def test_a_single_workers_output_is_its_own(run):
    done = run("print(place['task']['index'], 'alone'); print('oh', file=sys.stderr)", workers=1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 alone\n", "oh\n")


def test_a_killed_worker_has_the_job_started_again(run, tmp_path: Path):
    die_once = """
if start == 0:
    os.kill(os.getpid(), signal.SIGKILL) if me == 1 else (time.sleep(0.3), sys.exit(75))
"""
    done = run(die_once)
    assert done.returncode == 0
    assert done.stderr == "worker 1 was killed by SIGKILL: restart 1 of 3\n"
    assert starts(tmp_path) == [2, 2]


def test_restarts_are_used_up(run, tmp_path: Path):
    die = "print('last words')\nif me == 1: os.kill(os.getpid(), signal.SIGKILL)\nsys.exit(75)"
    done = run(die, max_restarts=2)
    assert done.stdout.count("[worker 1] last words\n") == 3  # Python keeps none back
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stderr.splitlines() == [
        "worker 1 was killed by SIGKILL: restart 1 of 2",
        "worker 1 was killed by SIGKILL: restart 2 of 2",
        "worker 1 was killed by SIGKILL: given up after 2 restarts",
    ]
    assert starts(tmp_path) == [3, 3]


@pytest.mark.parametrize("code", [69, 143])
def test_what_a_restart_may_mend_is_tried_again(run, tmp_path: Path, code: int):
    done = run(f"sys.exit({code} if me == 0 else 0)", max_restarts=1)
    assert done.returncode == code
    assert f"worker 0 ended with exit code {code}: restart 1 of 1\n" in done.stderr
    assert starts(tmp_path) == [2, 2]


@pytest.mark.parametrize("code", [2, 74])
def test_what_no_restart_mends_ends_the_job(run, tmp_path: Path, code: int):
    # The other one ends before it, with a code that tells less.
    done = run(f"if me == 1: time.sleep(0.2)\nsys.exit({code} if me == 1 else 1)")
    assert (done.returncode, done.stderr) == (code, "")
    assert starts(tmp_path) == [1, 1]


def test_a_fault_of_the_program_ends_the_job(run, tmp_path: Path):
    done = run("sys.exit(1)")
    assert (done.returncode, done.stderr) == (1, "")
    assert starts(tmp_path) == [1, 1]


def test_restarts_are_forgiven_after_a_new_checkpoint(run, tmp_path: Path):
    saves_twice = """
if start in (2, 4) and me == 0:
    pathlib.Path("saved").write_text(str(start))
sys.exit(0 if start == 7 else 143)
"""
    done = run(saves_twice, max_restarts=2)
    numbers = [line.split("restart ")[1] for line in done.stderr.splitlines()[:-1]]
    assert numbers == [f"{number} of 2" for number in (1, 2, 1, 2, 1, 2)]
    assert done.stderr.splitlines()[-1].endswith("given up after 2 restarts")
    assert starts(tmp_path) == [7, 7]


def test_a_worker_that_hangs_when_another_died_is_killed(run, tmp_path: Path):
    done = run("if me == 1: sys.exit(75)\n" + STUBBORN, grace_seconds=0.3, max_restarts=0)
    assert done.returncode == 75
    assert done.stderr.splitlines() == [
        "worker 0 did not end within 0.3 s and is killed",
        "worker 1 ended with exit code 75: given up after 0 restarts",
    ]
    assert not alive(pids(tmp_path, 1)[0])


def test_what_a_worker_leaves_behind_does_not_hold_up_the_job(run):
    began = time.monotonic()
    assert run('os.system("sleep 30 &")').returncode == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_all_workers_and_ends_the_job(begin, tmp_path: Path, number: int):
    job = begin(OBEDIENT)
    pids(tmp_path)
    job.send_signal(number)
    out, err = job.communicate(timeout=15)
    assert job.returncode == 128 + number
    assert sorted(out.splitlines()) == ["[worker 0] saved", "[worker 1] saved"]
    assert err == ""
    assert starts(tmp_path) == [1, 1]


def test_a_second_interrupt_is_passed_on_too(begin, tmp_path: Path):
    job = begin("""
hits = []
signal.signal(signal.SIGINT, lambda *_: hits.append(pathlib.Path(f"hit-{me}").touch()))
ready()
while len(hits) < 2:
    time.sleep(0.02)
sys.exit(130)
""")
    pids(tmp_path)
    job.send_signal(signal.SIGINT)
    assert until(lambda: len(list(tmp_path.glob("hit-*"))) == 2)
    assert job.poll() is None
    job.send_signal(signal.SIGINT)
    assert job.wait(15) == 130


def test_a_worker_that_saves_when_told_to_stop_has_all_the_time_it_needs(begin, tmp_path: Path):
    slowly = OBEDIENT.replace('print("saved"', 'time.sleep(me * 0.8); print("saved"')
    job = begin(slowly, grace_seconds=0.1)
    pids(tmp_path)
    job.send_signal(signal.SIGTERM)
    out, _ = job.communicate(timeout=15)
    assert (job.returncode, out) == (143, "[worker 0] saved\n[worker 1] saved\n")


def test_a_terminals_interrupt_reaches_workers_through_the_launcher_alone(begin, tmp_path: Path):
    job = begin(STUBBORN)
    assert len({os.getsid(pid) for pid in (job.pid, *pids(tmp_path))}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them")
def test_workers_end_with_a_killed_launcher(begin, tmp_path: Path):
    job = begin(STUBBORN)
    workers = pids(tmp_path)
    assert all(map(alive, workers))
    job.kill()
    assert until(lambda: not any(map(alive, workers)))


def test_each_worker_sees_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,3,1,0")
    own = [variables["CUDA_VISIBLE_DEVICES"] for variables in local_workers._device_slices(2, 2)]
    assert own == ["7,5", "3,1"]
    with pytest.raises(
        UsageError, match="--workers=3 with --devices=2 need 6 GPUs, but 5 are visible"
    ):
        local_workers.launch(["true"], workers=3, devices=2)
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert local_workers._device_slices(2, 1) == [{}, {}]
