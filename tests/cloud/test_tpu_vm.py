"""The queued resource of an order is valid for the TPU API, and its job is known after its end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

from tests.cloud import discovery
from tests.cloud.conftest import Gcs
from tests.cloud.orders import tpu_order
from tests.cloud.tpu_server import Tpu
from trainer.cloud import cloud_job, google_storage, machines, tpu_vm
from trainer.system.errors import Unavailable, UsageError

PARENT = "projects/project/locations/us-central1-a/queuedResources"
NAME = f"{PARENT}/first-try-abcd1234"
ACCOUNT = "trainer@project.iam.gserviceaccount.com"
ORDERS = {
    "plain": tpu_order(),
    "everything": tpu_order(capacity="spot", service_account=ACCOUNT, labels={"team": "x-ray"}),
    "TPU v6e": tpu_order(machine=machines.choose("tpu-v6e:4", "", "tpu_vm")),
}


@pytest.fixture
def server() -> Iterator[Tpu]:
    server = Tpu()
    yield server
    server.close()


class Zone:
    """A zone, as `platform`, and an order whose run is in a bucket."""

    def __init__(self, bucket: str):
        self.client = google_storage.client()
        self.order = tpu_order(workdir=f"gs://{bucket}/runs/First_try", capacity="spot")
        self.platform = self.connect()

    def connect(self) -> tpu_vm.TpuVm:
        """Returns the zone as another process sees it."""
        return tpu_vm.TpuVm(
            AnonymousCredentials(), "project", "us-central1-a", client=self.client, first_wait=0.001
        )

    def submit(self) -> cloud_job.CloudJob:
        return self.platform.submit(self.order)

    def end(self, exit_code: int, error: str = "", submission: str = "abcd1234") -> None:
        """Writes what the start-up script writes."""
        outcome = {"submission": submission, "exit_code": exit_code, "error": error}
        outcome["command"] = self.order.all_labels["command"]
        google_storage.write_text(
            self.client, f"{self.order.workdir}/outcome.json", json.dumps(outcome)
        )


@pytest.fixture
def zone(server: Tpu, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Zone:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Zone(gcs.bucket())


@pytest.mark.parametrize("name", ORDERS)
def test_queued_resource_is_valid(name: str):
    assert not discovery.errors(tpu_vm.body(ORDERS[name]), "tpu", "v2", "QueuedResource")


def test_vm_gets_the_scripts_for_its_start_and_its_end():
    body = tpu_vm.body(ORDERS["everything"])
    (spec,) = body["tpu"]["nodeSpec"]
    assert body["spot"] == {} and "spot" not in tpu_vm.body(ORDERS["plain"])
    assert spec["node"]["acceleratorType"] == "v5litepod-8"
    assert spec["node"]["metadata"] == {
        "startup-script": tpu_vm.file(ORDERS["everything"]),
        "shutdown-script": "docker stop -t 60 first-try-abcd1234",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["everything", "TPU v6e"])
def test_gcloud_submits_the_same_resource(name: str, server: Tpu, tmp_path: Path):
    order = ORDERS[name]
    file = tmp_path / "startup.sh"
    file.write_text(tpu_vm.file(order))
    done = server.gcloud(tpu_vm.command(order, str(file)), tmp_path)
    assert done.returncode == 0, done.stderr
    (sent,) = server.posted()
    if not order.service_account:  # gcloud sends an empty one
        del sent["tpu"]["nodeSpec"][0]["node"]["serviceAccount"]
    assert sent == tpu_vm.body(order)
    assert list(server.resources) == [f"{PARENT}/{order.identity}"]


def test_job_waits_runs_and_succeeds(zone: Zone, server: Tpu):
    job = zone.submit()
    assert (job.name, job.title, job.state) == (NAME, "first-try", cloud_job.WAITING)
    assert job.workdir == zone.order.workdir
    assert server.posted() == [tpu_vm.body(zone.order)]
    assert zone.platform.show(NAME).state == cloud_job.WAITING
    server.becomes(NAME, "ACTIVE")
    assert zone.platform.show(NAME).state == cloud_job.RUNNING
    zone.end(0)
    del server.resources[NAME]
    assert zone.platform.show(NAME).state == cloud_job.SUCCEEDED


def test_failed_job_has_the_reason_before_its_vm_is_deleted(zone: Zone, server: Tpu):
    zone.submit()
    server.becomes(NAME, "ACTIVE")
    zone.end(124, "the time limit of 24.0 hours has passed")
    shown = zone.platform.show(NAME)
    assert shown.state == cloud_job.FAILED
    assert shown.error == "exit code 124: the time limit of 24.0 hours has passed"


def test_outcome_of_an_earlier_submission_is_ignored(zone: Zone, server: Tpu):
    zone.end(0, submission="00000000")
    zone.submit()
    server.becomes(NAME, "ACTIVE")
    assert zone.platform.show(NAME).state == cloud_job.RUNNING
    del server.resources[NAME]
    assert zone.platform.show(NAME).state == cloud_job.CANCELLED


def test_ended_job_is_known_by_its_work_directory(zone: Zone, server: Tpu):
    zone.submit()
    zone.end(65)
    del server.resources[NAME]
    platform = zone.connect()
    with pytest.raises(UsageError, match="give the run's work directory, gs://"):
        platform.show(NAME)
    shown = platform.show(f"{zone.order.workdir}/")
    assert (shown.name, shown.state, shown.error) == (NAME, cloud_job.FAILED, "exit code 65")
    assert shown.command == "train"
    with pytest.raises(UsageError, match="no TPU VM in us-central1-a has a job of gs://"):
        platform.show(f"{zone.order.workdir}2")


def test_evaluation_is_known_for_one_before_and_after_its_end(zone: Zone, server: Tpu):
    zone.order = replace(zone.order, command=("evaluate", "gs://bucket/run"))
    zone.submit()
    assert zone.platform.show(NAME).command == "evaluate"
    zone.end(0)
    del server.resources[NAME]
    assert zone.connect().show(zone.order.workdir).command == "evaluate"


def test_job_is_found_by_every_name(zone: Zone, server: Tpu):
    zone.submit()
    zone.platform.submit(tpu_order(workdir="gs://bucket/runs/second", submission="ef"))
    server.resources[f"{PARENT}/others"] = {"name": f"{PARENT}/others", "state": {}}
    server.becomes(NAME, "ACTIVE")
    platform = zone.connect()
    for name in (NAME, "first-try-abcd1234", "first-try", zone.order.workdir):
        assert platform.show(name).name == NAME
    assert [job.title for job in platform.jobs()] == ["second", "first-try"]
    with pytest.raises(UsageError, match=f"there is no {PARENT}/third"):
        platform.show("third")


def test_preempted_vm_is_queued_again(zone: Zone, server: Tpu):
    job = zone.submit()
    server.becomes(NAME, "SUSPENDED", stateInitiator="SERVICE")
    preempted = zone.platform.show(job.name)
    assert preempted.state == cloud_job.PREEMPTED
    server.deletions = 3
    again = zone.platform.resume(zone.order, preempted)
    assert (again.name, again.state) == (NAME, cloud_job.WAITING)
    assert server.posted() == [tpu_vm.body(zone.order)] * 2
    server.deletions = 1000
    with pytest.raises(Unavailable, match="is still being deleted"):
        zone.platform.resume(zone.order, job)
    assert len(server.posted()) == 2


def test_vm_stopped_by_the_user_is_not_preempted(zone: Zone, server: Tpu):
    zone.submit()
    server.becomes(NAME, "SUSPENDED", stateInitiator="USER")
    assert zone.platform.show(NAME).state == cloud_job.CANCELLED


def test_unfulfilled_request_has_the_reason(zone: Zone, server: Tpu):
    zone.submit()
    reason = "You have reached TPUV5sLitepodServingPerProjectPerZone limit.\nLimit: 0"
    server.becomes(NAME, "FAILED", failedData={"error": {"code": 8, "message": reason}})
    shown = zone.platform.show(NAME)
    assert (shown.state, shown.error) == (cloud_job.FAILED, " ".join(reason.split()))


def test_job_is_cancelled(zone: Zone, server: Tpu):
    zone.submit()
    server.becomes(NAME, "ACTIVE")
    zone.platform.cancel("first-try")
    assert [asked.path for asked in server.deleted()] == [f"/v2/{NAME}?force=true"]
    assert zone.platform.show(NAME).state == cloud_job.CANCELLED


@pytest.mark.parametrize(
    "failure",
    [
        "late",
        "drop",
        (503, {"message": "try again"}, {}),
        (429, {"message": "requests per minute"}, {"Retry-After": "0"}),
    ],
)
def test_there_is_one_vm_after_a_temporary_failure(zone: Zone, server: Tpu, failure: object):
    server.failures = [failure]
    job = zone.submit()
    assert list(server.resources) == [job.name]


def test_refused_order_is_a_usage_error(zone: Zone, server: Tpu):
    server.failures = [(403, {"message": "tpu.nodes.create denied"}, {})]
    with pytest.raises(UsageError, match="docs/cloud.md lists the roles"):
        zone.submit()
    assert not server.resources


def test_log_is_that_of_the_container_and_continues_after_a_time(zone: Zone, server: Tpu):
    server.log = [
        {"timestamp": f"2026-11-25T10:00:0{n}Z", "jsonPayload": {"message": f"epoch {n}"}}
        for n in (1, 2)
    ]
    job = zone.submit()
    lines = zone.platform.log(job.name, "")
    assert [line for _, line in lines] == ["epoch 1", "epoch 2"]
    assert zone.platform.log(job.name, lines[0][0]) == lines[1:]
    request = next(a.body for a in server.asked if a.path == "/v2/entries:list")
    assert not discovery.errors(request, "logging", "v2", "ListLogEntriesRequest")
    assert 'jsonPayload.container.name="/first-try-abcd1234"' in request["filter"]
