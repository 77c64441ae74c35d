"""The start-up script of a TPU VM, run by bash with a docker that only records its calls.

Its metadata server, bucket and TPU API are on loopback.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cloud.conftest import Gcs
from tests.cloud.orders import tpu_order
from tests.cloud.tpu_server import TOKEN, Tpu
from trainer.cloud import bucket_address, google_storage, tpu_vm
from trainer.cloud.order import Order
from trainer.system.errors import FINAL

JOB = {"submission": "abcd1234", "command": "train"}

# Records its arguments; `run` ends with the next code of $DOCKER/codes, or when it is stopped.
DOCKER = r"""#!/bin/bash
{ printf '%q ' docker "$@"; echo; } >>"$DOCKER/calls"
case $1 in
  login) mkdir -p "$DOCKER_CONFIG" && tee "$DOCKER/password" >"$DOCKER_CONFIG/config.json" ;;
  pull) exit "$(cat "$DOCKER/pull" 2>/dev/null || echo 0)" ;;
  stop) touch "$DOCKER/stopped" ;;
  run)
    read -r code <"$DOCKER/codes"
    sed -i 1d "$DOCKER/codes"
    echo "a line of the job"
    [[ $code == held ]] || exit "$code"
    trap 'exit 143' TERM
    touch "$DOCKER/running"
    for ((i = 0; i < 600; i++)); do
      [[ -e $DOCKER/stopped ]] && exit 143
      sleep 0.05
    done
    exit 99
    ;;
esac
"""
RECORDED = """#!/bin/bash
{{ printf '%q ' {name} "$@"; echo; }} >>"$DOCKER/calls"
{then}
"""
PARENT = "projects/project/locations/us-central1-a/queuedResources"


@dataclass
class Vm:
    """A machine on which the script runs.

    Attributes:
      folder: with its programs and their recorded calls.
      order: what the script is for.
      tpu: the TPU API and the metadata server.
      client: of the bucket.
    """

    folder: Path
    order: Order
    tpu: Tpu
    client: object
    storage_url: str

    def start(self, codes: Sequence[int | str]) -> subprocess.Popen:
        """Boots; the containers end with these codes, one after the other."""
        (self.folder / "codes").write_text("".join(f"{code}\n" for code in codes))
        script = self.folder / "script.sh"
        script.write_text(tpu_vm.file(self.order))
        self.tpu.resources[f"{PARENT}/{self.order.identity}"] = {"state": {"state": "ACTIVE"}}
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "DOCKER": str(self.folder),
            "STATE": str(self.folder / "state"),
            "PAUSE": "0",
            "DELETIONS": "5",
            "GCE_METADATA_HOST": self.tpu.host,
            "TPU_API": self.tpu.address,
            "STORAGE_API": self.storage_url,
        }
        return subprocess.Popen(
            ["bash", str(script)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def boot(self, codes: Sequence[int | str]) -> str:
        """Boots, waits for the script's end, and returns what it has printed."""
        output, _ = self.start(codes).communicate(timeout=60)
        return output

    def calls(self, program: str) -> list[str]:
        """Returns the calls of `docker run` and the like."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{program} ")]

    def outcome(self) -> dict | None:
        text = google_storage.read_text(self.client, f"{self.order.workdir}/outcome.json")
        return json.loads(text) if text else None

    def deleted(self) -> list[str]:
        return [asked.path for asked in self.tpu.deleted()]


@pytest.fixture
def vm(gcs: Gcs, tmp_path: Path) -> Iterator[Vm]:
    missing = [name for name in ("bash", "curl", "timeout") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    (tmp_path / "bin").mkdir()
    curl = f'exec {shutil.which("curl")} "$@"'
    programs = {
        "docker": DOCKER,
        "curl": RECORDED.format(name="curl", then=curl),
        "shutdown": RECORDED.format(name="shutdown", then=""),
    }
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    tpu = Tpu()
    order = tpu_order(workdir=f"gs://{gcs.bucket()}/runs/First_try")
    yield Vm(tmp_path, order, tpu, google_storage.client(), gcs.url)
    tpu.close()


def test_successful_job_leaves_its_outcome_and_no_vm(vm: Vm):
    output = vm.boot([143, 75, 137, 0])  # anything but a lasting error is started again
    assert vm.outcome() == {**JOB, "exit_code": 0, "error": ""}
    assert vm.deleted() == [f"/v2/{PARENT}/first-try-abcd1234?force=true"]
    assert vm.tpu.deleted()[0].headers["Authorization"] == f"Bearer {TOKEN}"
    run, *restarts = vm.calls("docker run")
    assert restarts == [run] * 3
    assert "--privileged" in run and "--net=host" in run and "--name=first-try-abcd1234" in run
    assert "--log-driver=gcplogs --log-opt=gcp-project=project " in run
    assert "--env=TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/lib/libtpu.so " in run
    assert run.endswith(
        f"{vm.order.image} --config={vm.order.config_file} --workdir={vm.order.workdir} "
        "--config.distribute.strategy=tpu "
    )
    # The token is in no output, no list of processes and no file.
    assert "a line of the job" in output and TOKEN not in output
    assert (vm.folder / "password").read_text().strip() == TOKEN
    calls = (vm.folder / "calls").read_text()
    assert TOKEN not in calls
    assert "docker login --username oauth2accesstoken --password-stdin us-central1-docker" in calls
    files = [file for file in (vm.folder / "state").rglob("*") if file.is_file()]
    assert files and not any(TOKEN in file.read_text() for file in files)


@pytest.mark.parametrize("registry", ["ghcr.io", "us-gcr.io", "x.us-docker.pkg.dev"])
def test_other_registry_gets_no_token(vm: Vm, registry: str):
    vm.order = tpu_order(workdir=vm.order.workdir, image=f"{registry}/somebody/trainer:1")
    vm.boot([0])
    assert vm.outcome()["exit_code"] == 0
    assert not vm.calls("docker login")


@pytest.mark.parametrize("code", FINAL)
def test_lasting_error_ends_the_job(vm: Vm, code: int):
    vm.boot([code, 0])
    assert len(vm.calls("docker run")) == 1
    assert vm.outcome()["exit_code"] == code
    assert len(vm.deleted()) == 1


def test_job_that_fails_at_its_start_is_given_up(vm: Vm):
    vm.boot([1] * 9)
    assert len(vm.calls("docker run")) == 5
    error = "it ended 5 times within 120 s of its start"
    assert vm.outcome() == {**JOB, "exit_code": 1, "error": error}
    assert len(vm.deleted()) == 1


def test_job_runs_without_cloud_logging_where_that_fails(vm: Vm):
    vm.boot([125, 0])
    first, second = vm.calls("docker run")
    assert "--log-driver" in first and "--log-driver" not in second
    assert vm.outcome()["exit_code"] == 0


def test_image_that_cannot_be_pulled_ends_the_job(vm: Vm):
    (vm.folder / "pull").write_text("1")
    vm.boot([0])
    assert len(vm.calls("docker pull")) == 5 and not vm.calls("docker run")
    error = "the image cannot be pulled"
    assert vm.outcome() == {**JOB, "exit_code": 125, "error": error}
    assert len(vm.deleted()) == 1


def test_stopped_vm_lets_the_job_save_and_continues_at_the_next_boot(vm: Vm):
    script = vm.start(["held"])
    _await(vm.folder / "running")
    deadline = (vm.folder / "state" / "deadline").read_text()
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=60)
    assert vm.calls("docker stop") == ["docker stop -t 60 first-try-abcd1234 "]
    assert not vm.deleted() and vm.outcome() is None
    vm.boot([0])
    assert (vm.folder / "state" / "deadline").read_text() == deadline
    assert vm.outcome()["exit_code"] == 0 and len(vm.deleted()) == 1


def test_time_limit_ends_the_job_which_saves(vm: Vm):
    vm.order = tpu_order(workdir=vm.order.workdir, timeout_hours=2 / 3600)
    vm.boot(["held", 0])
    assert (vm.folder / "running").exists() and len(vm.calls("docker run")) == 1
    assert vm.outcome()["exit_code"] == 124
    assert "the time limit of" in vm.outcome()["error"]
    assert len(vm.deleted()) == 1


def test_boot_after_the_end_only_deletes(vm: Vm):
    outcome = {**JOB, "exit_code": 2, "error": ""}
    (vm.folder / "state").mkdir()
    (vm.folder / "state" / "outcome.json").write_text(json.dumps(outcome))
    vm.boot([0])
    assert not vm.calls("docker") and vm.outcome() == outcome
    assert len(vm.deleted()) == 1


def test_temporary_failures_of_services_are_retried(vm: Vm, gcs: Gcs):
    gcs.fail(503, "POST /upload")
    vm.tpu.failures = [(503, {"message": "try again"}, {}), (403, {"message": "no role yet"}, {})]
    vm.boot([0])
    assert vm.outcome()["exit_code"] == 0
    assert len(vm.deleted()) == 3
    assert not vm.calls("shutdown")


def test_vm_that_may_not_delete_itself_shuts_down(vm: Vm):
    vm.tpu.failures = [(403, {"message": "no role"}, {})] * 500
    output = vm.boot([0])
    assert vm.calls("shutdown") == ["shutdown --poweroff now "]
    assert "is the service account a roles/tpu.admin?" in output and TOKEN not in output


def test_names_with_special_characters_are_quoted(vm: Vm):
    bucket, _ = bucket_address.split(vm.order.workdir)
    workdir = f'gs://{bucket}/runs/it\'s "$(touch {vm.folder}/made)" & `more`; ünd'
    vm.order = tpu_order(workdir=workdir)
    vm.boot([0])
    (run,) = vm.calls("docker run")
    bash = ["bash", "-c", f"printf '%s\\n' {run}"]
    done = subprocess.run(bash, capture_output=True, text=True, check=True, timeout=60)
    assert f"--workdir={workdir}" in done.stdout.splitlines()
    assert not (vm.folder / "made").exists()
    assert vm.outcome()["exit_code"] == 0 and len(vm.deleted()) == 1


def test_shellcheck_accepts_the_script(tmp_path: Path):
    shellcheck = shutil.which("shellcheck", path=Path(os.sys.executable).parent)
    if shellcheck is None:
        pytest.skip("needs shellcheck, of requirements/test.txt")
    for name, order in {"spot": tpu_order(capacity="spot"), "i": tpu_order(image="i:1")}.items():
        file = tmp_path / f"{name}.sh"
        file.write_text(tpu_vm.file(order))
        done = subprocess.run([shellcheck, file], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


def _await(file: Path) -> None:
    for _ in range(600):
        if file.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{file} does not appear")
