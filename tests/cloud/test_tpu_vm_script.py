"""The start-up script of a TPU VM, run by bash with a docker that only notes what it is asked.

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
from trainer.cloud import google_storage, tpu_vm
from trainer.cloud.order import Order
from trainer.distribute.local_workers import FINAL

# Notes its arguments, a line each; `run` ends with the next of $DOCKER/codes, or as it is stopped.
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
NOTED = """#!/bin/bash
{{ printf '%q ' {name} "$@"; echo; }} >>"$DOCKER/calls"
{then}
"""
PARENT = "projects/project/locations/us-central1-a/queuedResources"


@dataclass
class Vm:
    """A machine on which the script runs.

    Attributes:
      folder: with its programs and what they have noted.
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
        "curl": NOTED.format(name="curl", then=curl),
        "shutdown": NOTED.format(name="shutdown", then=""),
    }
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    tpu = Tpu()
    of = tpu_order(workdir=f"gs://{gcs.bucket()}/runs/First_try")
    yield Vm(tmp_path, of, tpu, google_storage.client(), gcs.url)
    tpu.close()


def test_a_job_that_ends_well_leaves_its_outcome_and_no_vm(vm: Vm):
    vm.boot([0])
    assert vm.outcome() == {"submission": "abcd1234", "exit_code": 0, "error": ""}
    assert vm.deleted() == [f"/v2/{PARENT}/first-try-abcd1234?force=true"]
    assert vm.tpu.deleted()[0].headers["Authorization"] == f"Bearer {TOKEN}"
    (run,) = vm.calls("docker run")
    assert "--privileged" in run and "--net=host" in run and "--name=first-try-abcd1234" in run
    assert "--log-driver=gcplogs --log-opt=gcp-project=project " in run
    assert "--env=TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/lib/libtpu.so " in run
    assert run.endswith(
        f"{vm.order.image} --config={vm.order.config_file} --workdir={vm.order.workdir} "
        "--config.distribute.strategy=tpu "
    )


def test_the_token_is_shown_to_nobody_and_kept_nowhere(vm: Vm):
    output = vm.boot([143, 0])
    assert "a line of the job" in output and TOKEN not in output
    assert (vm.folder / "password").read_text().strip() == TOKEN
    assert TOKEN not in (vm.folder / "calls").read_text()
    assert (
        "docker login --username oauth2accesstoken --password-stdin us-central1-docker"
        in (vm.folder / "calls").read_text()
    )
    kept = [f for f in (vm.folder / "state").rglob("*") if f.is_file()]
    assert kept and not any(TOKEN in file.read_text() for file in kept)


@pytest.mark.parametrize("registry", ["ghcr.io", "us-gcr.io", "x.us-docker.pkg.dev"])
def test_a_registry_of_another_gets_no_token(vm: Vm, registry: str):
    vm.order = tpu_order(workdir=vm.order.workdir, image=f"{registry}/somebody/trainer:1")
    vm.boot([0])
    assert vm.outcome()["exit_code"] == 0
    assert not vm.calls("docker login")


@pytest.mark.parametrize("code", FINAL)
def test_what_starting_again_cannot_mend_ends_the_job(vm: Vm, code: int):
    vm.boot([code, 0])
    assert len(vm.calls("docker run")) == 1
    assert vm.outcome()["exit_code"] == code
    assert len(vm.deleted()) == 1


def test_anything_else_is_started_again(vm: Vm):
    vm.boot([143, 75, 137, 0])
    assert len(vm.calls("docker run")) == 4
    assert vm.outcome()["exit_code"] == 0


def test_a_job_that_never_gets_anywhere_is_given_up(vm: Vm):
    vm.boot([1] * 9)
    assert len(vm.calls("docker run")) == 5
    assert vm.outcome()["exit_code"] == 1
    assert vm.outcome()["error"] == "it ended 5 times within 120 s of its start"
    assert len(vm.deleted()) == 1


def test_a_job_runs_although_cloud_logging_does_not_take_its_lines(vm: Vm):
    vm.boot([125, 0])
    first, second = vm.calls("docker run")
    assert "--log-driver" in first and "--log-driver" not in second
    assert vm.outcome()["exit_code"] == 0


def test_an_image_that_cannot_be_pulled_ends_the_job(vm: Vm):
    (vm.folder / "pull").write_text("1")
    vm.boot([0])
    assert len(vm.calls("docker pull")) == 5 and not vm.calls("docker run")
    assert vm.outcome() == {
        "submission": "abcd1234",
        "exit_code": 125,
        "error": "the image cannot be pulled",
    }
    assert len(vm.deleted()) == 1


def test_a_vm_that_stops_lets_the_job_save_and_goes_on_at_the_next_boot(vm: Vm):
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


def test_the_time_limit_ends_the_job_which_saves(vm: Vm):
    vm.order = tpu_order(workdir=vm.order.workdir, timeout_hours=2 / 3600)
    vm.boot(["held", 0])
    assert (vm.folder / "running").exists() and len(vm.calls("docker run")) == 1
    assert vm.outcome()["exit_code"] == 124
    assert "the time limit of" in vm.outcome()["error"]
    assert len(vm.deleted()) == 1


def test_a_boot_after_the_end_only_deletes(vm: Vm):
    outcome = {"submission": "abcd1234", "exit_code": 2, "error": ""}
    (vm.folder / "state").mkdir()
    (vm.folder / "state" / "outcome.json").write_text(json.dumps(outcome))
    vm.boot([0])
    assert not vm.calls("docker") and vm.outcome() == outcome
    assert len(vm.deleted()) == 1


def test_services_that_fail_for_a_while_are_asked_again(vm: Vm, gcs: Gcs):
    gcs.fail(503, "POST /upload")
    vm.tpu.failures = [(503, {"message": "try again"}, {}), (403, {"message": "no role yet"}, {})]
    vm.boot([0])
    assert vm.outcome()["exit_code"] == 0
    assert len(vm.deleted()) == 3
    assert not vm.calls("shutdown")


@pytest.mark.slow
def test_a_vm_that_may_not_delete_itself_shuts_down(vm: Vm):
    vm.tpu.failures = [(403, {"message": "no role"}, {})] * 500
    output = vm.boot([0])
    assert vm.calls("shutdown") == ["shutdown --poweroff now "]
    assert "is the service account a roles/tpu.admin?" in output and TOKEN not in output


def test_odd_names_reach_the_job_as_they_are(vm: Vm):
    bucket, _ = google_storage.split(vm.order.workdir)
    workdir = f'gs://{bucket}/runs/it\'s "$(touch {vm.folder}/made)" & `more`; ünd'
    vm.order = tpu_order(workdir=workdir)
    vm.boot([0])
    (run,) = vm.calls("docker run")
    bash = ["bash", "-c", f"printf '%s\\n' {run}"]
    arguments = subprocess.run(bash, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"--workdir={workdir}" in arguments
    assert not (vm.folder / "made").exists()
    assert vm.outcome()["exit_code"] == 0 and len(vm.deleted()) == 1


def test_shellcheck_has_nothing_to_say(tmp_path: Path):
    shellcheck = shutil.which("shellcheck", path=Path(os.sys.executable).parent)
    if shellcheck is None:
        pytest.skip("needs shellcheck, of requirements/test.txt")
    for name, of in {"spot": tpu_order(capacity="spot"), "other": tpu_order(image="i:1")}.items():
        file = tmp_path / f"{name}.sh"
        file.write_text(tpu_vm.file(of))
        done = subprocess.run([shellcheck, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def _await(file: Path) -> None:
    for _ in range(600):
        if file.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{file} does not appear")
