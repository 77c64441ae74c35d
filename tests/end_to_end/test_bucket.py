"""A run whose data set and work directory are in a bucket is the run that it would be on a disk."""

import csv
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from etils import epath

from scripts.alike import differences
from tests.forks import RETRIES, Forks
from trainer.data import sources
from trainer.system import file_lock
from trainer.system.errors import CannotWrite, ExitError, Unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECIPE = Path(__file__).parents[2] / "configs/demo.py"
DATA, RUN = "gs://bucket/data", "gs://bucket/runs/x"
ENDS = [11, 21]  # steps of the epochs' ends, of 84 images each
SMALL = {
    "data.image_size": 48,
    "augment.zoom_range": 0.2,
    "augment.horizontal_flip": True,
    "augment.jit_compile": False,
    "model.name": "article",
    "train.epochs": 2,
    "train.ema": 0.9,
    "train.batch_size": 8,
    "distribute.strategy": "one_device",
    "checkpoint.every_steps": 3,
    "profile.flops": False,
}
CREDENTIALS = ("GOOGLE_AUTH_TOKEN_FOR_TESTING", "GOOGLE_APPLICATION_CREDENTIALS")
# TensorFlow's own default, but for how soon it asks.
PATIENT = RETRIES | {"GCS_RETRY_CONFIG_MAX_RETRIES": "10"}

# Runs the job with the flags that follow, and sends it a signal once it has reached a step.
SIGNALLED = """
import os, sys
from trainer.commands import config_flags, program
from trainer.commands.command import Command
from trainer.training import step
from trainer import task

number, last_step = int(sys.argv.pop(1)), int(sys.argv.pop(1))
make_loop = step.train_loop

def train_loop(strategy, state, config, **named):
    loop = make_loop(strategy, state, config, **named)

    def run(batches, steps):
        result = loop(batches, steps)
        if int(state.step) >= last_step:
            os.kill(os.getpid(), number)
        return result

    return run

step.train_loop = train_loop
program.run(task.main, Command(), config_flags.parse)
"""


def flags(data: object, workdir: object) -> list[str]:
    fields = SMALL | {"data.path": data}
    settings = [f"--config.{name}={value}" for name, value in fields.items()]
    return [f"--config={RECIPE}", *settings, f"--workdir={workdir}"]


@contextmanager
def failing_now_and_then(bucket: object) -> Iterator[None]:
    ended = threading.Event()

    def fail() -> None:
        while not ended.wait(4.0):  # TensorFlow retries within one
            bucket.fail(unavailable=1, uploads=1, slow=3)

    thread = threading.Thread(target=fail)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        bucket.fail()


@pytest.fixture(scope="module")
def patient(running_bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The same bucket, for programs that ask again as often as TensorFlow does by default."""
    forks = Forks(tmp_path_factory.mktemp("patient"), PATIENT)
    yield replace(running_bucket, forks=forks)
    forks.close()


@pytest.fixture(scope="module")
def run(running_bucket, patient, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns what runs Python beside the bucket, must end with a code, and returns its output.

    Meanwhile faults come again and again.
    """
    cache = str(tmp_path_factory.mktemp("cache"))

    def run(*arguments: object, code: int = 0) -> str:
        with failing_now_and_then(running_bucket):
            done = patient.run(*map(str, arguments), timeout=240, XDG_CACHE_HOME=cache)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def unbroken(forks: Forks, phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on a disk, in a process with one device as those beside the bucket have."""
    workdir = tmp_path_factory.mktemp("unbroken")
    done = forks.run("-m", "trainer.task", *flags(phantoms, workdir))
    assert done.returncode == 0, done.stdout + done.stderr
    return workdir


@pytest.fixture(scope="module")
def outputs(run: Callable[..., str]) -> dict[str, str]:
    """What the steps of the run printed: prepared, killed, stopped and finished."""
    source, job = ("--source=phantom:120", "--max_side=128", f"--out={DATA}"), flags(DATA, RUN)
    return {
        "prepared": run("-m", "trainer", "prepare", "--noaudit", *source),
        "killed": run("-c", SIGNALLED, int(signal.SIGKILL), 9, *job, code=-signal.SIGKILL),
        "stopped": run("-c", SIGNALLED, int(signal.SIGTERM), 15, *job, code=128 + signal.SIGTERM),
        "finished": run("-m", "trainer.task", *job),
    }


@pytest.fixture(scope="module")
def fetched(
    outputs: dict[str, str], running_bucket, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A local copy of the finished run."""
    folder = tmp_path_factory.mktemp("fetched")
    running_bucket.fetch("runs/x/", folder)
    return folder


def names(workdir: Path) -> list[str]:
    """The files of a run, those of events by their part alone."""
    found = (str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file())
    return sorted({re.sub("events.out.*", "events", name) for name in found} - {file_lock.FILE})


def test_it_goes_on_after_a_kill_and_after_a_signal(outputs: dict[str, str]):
    # Of the last checkpoint before the kill, half may be there.
    assert re.search(r"going on at step (3|6)\b", outputs["stopped"])
    (step,) = re.findall(r"by SIGTERM at step (\d+) of 21, which is saved", outputs["stopped"])
    assert f"going on at step {step}" in outputs["finished"]
    assert f"report: {RUN}/report.html" in outputs["finished"]


def test_it_arrives_at_what_the_run_on_a_disk_does_bit_for_bit(fetched: Path, unbroken: Path):
    assert differences(unbroken, fetched, ENDS[-1], 0.0) == []
    for name in ("evaluation/test.json", "evaluation/validation.json"):
        assert (fetched / name).read_text() == (unbroken / name).read_text()
    assert names(fetched) == names(unbroken)


@pytest.fixture
def ask(running_bucket, outputs: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Returns what asks a TensorBoard that reads the bucket, until an answer will do."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "tensorboard.main", "--load_fast=false", "--port=0"]
    with log.open("w") as output:
        board = subprocess.Popen(
            [*command, "--logdir=gs://bucket/runs"],
            env=running_bucket.environment | PATIENT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def ask(path: str, will_do: Callable[[Any], bool] = bool, **query: object) -> Any:
        until = time.monotonic() + 90
        while time.monotonic() < until and board.poll() is None:
            with suppress(HTTPError, TypeError):  # it does not answer yet, or knows of no such run
                address = re.search(r"http://\S+", log.read_text())[0]
                url = f"{address}data/{path}?{urlencode(query)}"
                with urllib.request.urlopen(url, timeout=60) as answer:
                    content = answer.read()
                if answer.headers.get_content_type() == "application/json":
                    content = json.loads(content)
                if will_do(content):
                    return content
            time.sleep(0.2)
        raise AssertionError(log.read_text())

    yield ask
    board.terminate()
    board.wait(20)


def test_tensorboard_shows_it_from_the_bucket(ask: Callable[..., Any]):
    of_part = {"run": "x/tensorboard/validation", "tag": "metrics/loss"}
    curve = ask("plugin/scalars/scalars", lambda curve: len(curve) == len(ENDS) + 1, **of_part)
    assert [step for _, step, _ in curve] == [0, *ENDS]
    of_part = {"run": "x/tensorboard/test", "tag": "results/errors", "sample": 0}
    (picture,) = ask("plugin/images/images", **of_part)
    query = dict(pair.split("=") for pair in picture["query"].split("&"))
    assert ask("plugin/images/individualImage", **query).startswith(b"\x89PNG")


@pytest.mark.usefixtures("outputs")
def test_its_pages_and_its_audit_are_written_there(
    running_bucket, run: Callable[..., str], tmp_path: Path
):
    run("-m", "trainer", "audit", f"--source={DATA}", f"--out={DATA}/audit.html")
    source = sources.open_source("phantom:20")
    running_bucket.write("patient.png", source.read(source.records()[0]))
    printed = run("-m", "trainer", "report", RUN, "--image=gs://bucket/patient.png")
    assert f"\n{RUN}/images/patient.png.html: " in f"\n{printed}"
    for prefix in ("runs/x/images/", "data/audit."):
        running_bucket.fetch(prefix, tmp_path)
    assert "patient.png" in (tmp_path / "patient.png.html").read_text()
    assert (tmp_path / "html").stat().st_size and json.loads((tmp_path / "json").read_text())


def test_its_network_judges_and_predicts_what_lies_in_a_bucket(
    running_bucket, fetched: Path, tmp_path: Path
):
    source = sources.open_source("phantom:20")
    record = source.records()[0]
    running_bucket.write("new/one.png", source.read(record))
    running_bucket.write("new/two.png", b"no image")
    judged, there = "gs://bucket/judged", "gs://bucket/predicted.csv"
    for code, command in (
        (0, ("evaluate", RUN, f"--data={DATA}", "--split=test", f"--out={judged}")),
        (1, ("predict", RUN, "gs://bucket/new", f"--out={there}", "--workers=1")),
    ):
        done = running_bucket.run("-m", "trainer", *command, timeout=240)
        assert done.returncode == code, done.stderr
    for prefix in ("judged/evaluation/", "predicted"):
        running_bucket.fetch(prefix, tmp_path)
    with (tmp_path / ".csv").open() as file:
        one, two = csv.DictReader(file)
    assert one["probability PNEUMONIA"] and two["reason"] and not two["probability PNEUMONIA"]
    own = json.loads((fetched / "evaluation/test.json").read_text())
    assert json.loads((tmp_path / "data.json").read_text())["auc"] == own["auc"]


@pytest.mark.parametrize(
    ("faults", "workdir", "without", "sentence", "ending"),
    [
        ({}, "gs://nowhere/x", (), "there is no such bucket", CannotWrite),
        ({"read_only": 1}, "gs://bucket/read_only", (), "read-only bucket; HTTP 403", CannotWrite),
        (
            *({"private": 1}, "gs://bucket/private", CREDENTIALS, "log in with"),
            CannotWrite,
        ),
        # A scheduler may start the job again.
        ({"uploads": 10**6}, "gs://bucket/busy", (), "try again; HTTP 503", Unavailable),
    ],
)
def test_a_bucket_that_cannot_be_used_ends_it_in_a_sentence(
    bucket,
    phantoms: epath.Path,
    faults: dict[str, int],
    workdir: str,
    without: tuple[str, ...],
    sentence: str,
    ending: type[ExitError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in without:
        monkeypatch.delitem(bucket.environment, name, raising=False)
    bucket.fail(**faults)
    nobodys = {"CLOUDSDK_CONFIG": str(tmp_path)}
    done = bucket.run("-m", "trainer.task", *flags(phantoms, workdir), **nobodys)
    assert done.returncode == ending.exit_code, done.stdout + done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: {workdir} cannot be used (") and sentence in line


def test_a_config_that_cannot_be_read_for_now_ends_it_so_that_it_may_start_again(bucket):
    write = "from etils import epath; epath.Path('gs://bucket/config.json').write_text('{}')"
    assert bucket.run("-c", write).returncode == 0
    bucket.fail(unavailable=10**6)
    done = bucket.run("-m", "trainer.task", "--config=gs://bucket/config.json", "--workdir=run")
    line = done.stderr.splitlines()[-1]
    assert done.returncode == Unavailable.exit_code and "try again; HTTP 503" in line
