"""An order becomes a queued resource of the TPU API, and the job is known until after its end."""

import json
from collections.abc import Iterator
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
    "Spot": tpu_order(capacity="spot"),
    "a service account and labels": tpu_order(service_account=ACCOUNT, labels={"team": "x-ray"}),
    "TPU v6e": tpu_order(machine=machines.choose("tpu-v6e:4", "", "tpu_vm")),
}


@pytest.fixture
def server() -> Iterator[Tpu]:
    server = Tpu()
    yield server
    server.close()


@pytest.fixture
def here(server: Tpu, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> "Here":
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Here(gcs.bucket())


class Here:
    """The zone, as `cloud`, and an order whose run is in a bucket that is there."""

    def __init__(self, bucket: str):
        self.client = google_storage.client()
        self.order = tpu_order(workdir=f"gs://{bucket}/runs/First_try", capacity="spot")
        self.cloud = self.again()

    def again(self) -> tpu_vm.TpuVm:
        """Returns the zone as another process sees it."""
        return tpu_vm.TpuVm(
            AnonymousCredentials(), "project", "us-central1-a", client=self.client, first_wait=0.01
        )

    def ends(self, exit_code: int, error: str = "", submission: str = "abcd1234") -> None:
        """Writes what the start-up script does."""
        outcome = {"submission": submission, "exit_code": exit_code, "error": error}
        google_storage.write_text(
            self.client, f"{self.order.workdir}/outcome.json", json.dumps(outcome)
        )


@pytest.mark.parametrize("name", ORDERS)
def test_google_takes_every_order(name: str):
    assert not discovery.errors(tpu_vm.body(ORDERS[name]), "tpu", "v2", "QueuedResource")


def test_the_vm_is_told_what_to_run_and_what_to_do_before_it_stops():
    made = tpu_vm.body(ORDERS["Spot"])
    (spec,) = made["tpu"]["nodeSpec"]
    assert made["spot"] == {} and "spot" not in tpu_vm.body(ORDERS["plain"])
    assert spec["node"]["acceleratorType"] == "v5litepod-8"
    assert spec["node"]["metadata"] == {
        "startup-script": tpu_vm.file(ORDERS["Spot"]),
        "shutdown-script": "docker stop -t 60 first-try-abcd1234",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ORDERS)
def test_gcloud_submits_the_file_as_this_does(name: str, server: Tpu, tmp_path: Path):
    of = ORDERS[name]
    file = tmp_path / "startup.sh"
    file.write_text(tpu_vm.file(of))
    done = server.gcloud(tpu_vm.command(of, str(file)), tmp_path)
    assert done.returncode == 0, done.stderr
    (sent,) = server.posted()
    if not of.service_account:  # gcloud sends an empty one
        del sent["tpu"]["nodeSpec"][0]["node"]["serviceAccount"]
    assert sent == tpu_vm.body(of)
    assert list(server.resources) == [f"{PARENT}/{of.identity}"]


def test_a_job_waits_runs_and_has_ended_well(here: Here, server: Tpu):
    made = here.cloud.submit(here.order)
    assert (made.name, made.title, made.state) == (NAME, "first-try", cloud_job.WAITING)
    assert made.workdir == here.order.workdir
    assert server.posted() == [tpu_vm.body(here.order)]
    assert here.cloud.show(NAME).state == cloud_job.WAITING
    server.becomes(NAME, "ACTIVE")
    assert here.cloud.show(NAME).state == cloud_job.RUNNING
    here.ends(0)
    del server.resources[NAME]
    assert here.cloud.show(NAME).state == cloud_job.SUCCEEDED


def test_a_job_that_has_failed_says_so_before_its_vm_is_gone(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    server.becomes(NAME, "ACTIVE")
    here.ends(124, "the time limit of 24.0 hours has passed")
    shown = here.cloud.show(NAME)
    assert shown.state == cloud_job.FAILED
    assert shown.error == "exit code 124: the time limit of 24.0 hours has passed"


def test_how_an_earlier_submission_ended_is_not_taken_for_this_ones(here: Here, server: Tpu):
    here.ends(0, submission="00000000")
    here.cloud.submit(here.order)
    server.becomes(NAME, "ACTIVE")
    assert here.cloud.show(NAME).state == cloud_job.RUNNING
    del server.resources[NAME]
    assert here.cloud.show(NAME).state == cloud_job.CANCELLED


def test_an_ended_job_is_known_by_its_work_directory_alone(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    here.ends(65)
    del server.resources[NAME]
    there = here.again()
    with pytest.raises(UsageError, match="give the run's work directory, gs://"):
        there.show(NAME)
    shown = there.show(f"{here.order.workdir}/")
    assert (shown.name, shown.state, shown.error) == (NAME, cloud_job.FAILED, "exit code 65")
    with pytest.raises(UsageError, match="no TPU VM in us-central1-a has a job of gs://"):
        there.show(f"{here.order.workdir}2")


def test_a_job_is_found_by_every_name_it_has(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    other = tpu_order(workdir="gs://bucket/runs/second", submission="ef")
    here.cloud.submit(other)
    server.resources[f"{PARENT}/anothers"] = {"name": f"{PARENT}/anothers", "state": {}}
    server.becomes(NAME, "ACTIVE")
    there = here.again()
    for name in (NAME, "first-try-abcd1234", "first-try", here.order.workdir):
        assert there.show(name).name == NAME
    assert [of.title for of in there.jobs()] == ["second", "first-try"]
    with pytest.raises(UsageError, match=f"there is no {PARENT}/third"):
        there.show("third")


def test_a_vm_that_is_taken_back_is_queued_again(here: Here, server: Tpu):
    made = here.cloud.submit(here.order)
    server.becomes(NAME, "SUSPENDED", stateInitiator="SERVICE")
    preempted = here.cloud.show(made.name)
    assert preempted.state == cloud_job.PREEMPTED
    server.deletions = 3
    again = here.cloud.resume(here.order, preempted)
    assert (again.name, again.state) == (NAME, cloud_job.WAITING)
    assert server.posted() == [tpu_vm.body(here.order)] * 2
    assert here.cloud.show(NAME).state == cloud_job.WAITING


def test_a_vm_that_does_not_go_is_not_waited_for_for_ever(here: Here, server: Tpu):
    made = here.cloud.submit(here.order)
    server.deletions = 1000
    with pytest.raises(Unavailable, match="is still being deleted"):
        here.cloud.resume(here.order, made)
    assert len(server.posted()) == 1


def test_a_vm_that_the_user_deletes_is_not_taken_for_preempted(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    server.becomes(NAME, "SUSPENDED", stateInitiator="USER")
    assert here.cloud.show(NAME).state == cloud_job.CANCELLED


def test_a_request_that_is_not_fulfilled_says_why(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    said = "You have reached TPUV5sLitepodServingPerProjectPerZone limit.\nLimit: 0"
    server.becomes(NAME, "FAILED", failedData={"error": {"code": 8, "message": said}})
    shown = here.cloud.show(NAME)
    assert (shown.state, shown.error) == (cloud_job.FAILED, " ".join(said.split()))


def test_a_job_is_cancelled(here: Here, server: Tpu):
    here.cloud.submit(here.order)
    server.becomes(NAME, "ACTIVE")
    here.cloud.cancel("first-try")
    assert [asked.path for asked in server.deleted()] == [f"/v2/{NAME}?force=true"]
    assert here.cloud.show(NAME).state == cloud_job.CANCELLED


@pytest.mark.parametrize("lost", ["late", (503, {"message": "try again"}, {}), "drop"])
def test_there_is_one_vm_although_an_answer_was_lost(here: Here, server: Tpu, lost: object):
    server.failures = [lost]
    made = here.cloud.submit(here.order)
    assert list(server.resources) == [made.name]
    assert here.cloud.show(made.name).state == cloud_job.WAITING


def test_a_full_service_is_asked_again_when_it_says(here: Here, server: Tpu):
    server.failures = [(429, {"message": "requests per minute"}, {"Retry-After": "0"})] * 2
    here.cloud.submit(here.order)
    assert len(server.posted()) == 3 and list(server.resources) == [NAME]


@pytest.mark.parametrize(
    "failure, said",
    [
        ((403, {"message": "tpu.nodes.create denied"}, {}), "docs/cloud.md lists the roles"),
        ((429, {"message": "Quota limit 'TPUV5s' exceeded"}, {}), "quota does not allow it"),
        ((400, {"message": "no such runtime"}, {}), "400: no such runtime"),
    ],
)
def test_a_refused_order_is_told_of_in_one_sentence(
    here: Here, server: Tpu, failure: object, said: str
):
    server.failures = [failure]
    with pytest.raises(UsageError, match=said):
        here.cloud.submit(here.order)
    assert not server.resources


def test_the_log_is_that_of_the_container_and_goes_on_where_it_was_read(here: Here, server: Tpu):
    server.log = [
        {"timestamp": f"2026-11-25T10:00:0{n}Z", "jsonPayload": {"message": f"epoch {n}"}}
        for n in (1, 2)
    ]
    made = here.cloud.submit(here.order)
    lines = here.cloud.log(made.name, "")
    assert [line for _, line in lines] == ["epoch 1", "epoch 2"]
    assert here.cloud.log(made.name, lines[0][0]) == lines[1:]
    request = next(a.body for a in server.asked if a.path == "/v2/entries:list")
    assert not discovery.errors(request, "logging", "v2", "ListLogEntriesRequest")
    assert 'jsonPayload.container.name="/first-try-abcd1234"' in request["filter"]
