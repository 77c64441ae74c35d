"""An order becomes a job that Google's own types, documents and command line take."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

from tests.cloud import discovery
from tests.cloud.vertex_server import Vertex as Server
from trainer.cloud import job, machines, vertex
from trainer.cloud.order import Order
from trainer.config import default
from trainer.entry import Refusal, Unavailable

SCHEMA = "GoogleCloudAiplatformV1"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cloud(server: Server, monkeypatch: pytest.MonkeyPatch) -> vertex.Vertex:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return vertex.Vertex(AnonymousCredentials(), "project", "us-central1", first_wait=0.01)


def order(**changed: object) -> Order:
    config = default()
    config.data.path = "gs://bucket/data"
    made = Order(
        config=config,
        workdir="gs://bucket/runs/First_try",
        image="us-central1-docker.pkg.dev/project/radiographs/trainer:1-gpu",
        machine=machines.choose("nvidia-l4:2", "", "vertex"),
        platform="vertex",
        project="project",
        region="us-central1",
        submission="abcd1234",
    )
    return replace(made, **changed)


STUDY = {
    "metrics": [{"metricId": "validation_auc", "goal": "MAXIMIZE"}],
    "parameters": [
        {
            "parameterId": "config.optimizer.learning_rate",
            "doubleValueSpec": {"minValue": 1e-4, "maxValue": 1e-2},
            "scaleType": "UNIT_LOG_SCALE",
        }
    ],
}
BOARD = "projects/project/locations/us-central1/tensorboards/12"
ORDERS = {
    "one machine": order(),
    "four workers": order(workers=4),
    "a CPU": order(machine=machines.choose("cpu", "", "vertex")),
    "a TPU": order(machine=machines.choose("tpu-v5e:8", "", "vertex")),
    "Spot": order(capacity="spot", timeout_hours=0.5),
    "flex start": order(capacity="flex_start", max_wait_hours=2.0),
    "a TensorBoard": order(tensorboard=BOARD, service_account="trainer@project.iam"),
    "labels and a disk": order(labels={"team": "x-ray"}, boot_disk_gb=500),
    "a tuning": order(study=STUDY, trials=8, parallel_trials=2),
}


@pytest.mark.parametrize("name", ORDERS)
def test_google_takes_every_order(name: str):
    of = ORDERS[name]
    kind = CustomJob if of.study is None else HyperparameterTuningJob
    read = json_format.ParseDict(vertex.body(of), kind.pb(kind()))
    assert read.display_name == "first-try"
    assert not discovery.errors(vertex.body(of), "aiplatform", "v1", SCHEMA + kind.__name__)


def test_what_google_does_not_know_is_found():
    wrong = vertex.body(order())
    wrong["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["acceleratorTyp"] = "NVIDIA_L4"
    assert discovery.errors(wrong, "aiplatform", "v1", SCHEMA + "CustomJob")
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(wrong, CustomJob.pb(CustomJob()))


def test_the_first_machine_is_the_chief_and_the_others_are_a_pool():
    chief, workers = vertex.job_spec(ORDERS["four workers"])["workerPoolSpecs"]
    assert (chief["replicaCount"], workers["replicaCount"]) == ("1", "3")
    assert chief["machineSpec"] == workers["machineSpec"]
    assert chief["containerSpec"] == workers["containerSpec"]
    assert chief["machineSpec"] == {
        "machineType": "g2-standard-24",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 2,
    }
    assert len(vertex.job_spec(order())["workerPoolSpecs"]) == 1


def test_a_tpu_has_a_topology_and_no_accelerators():
    (pool,) = vertex.job_spec(ORDERS["a TPU"])["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "ct5lp-hightpu-8t", "tpuTopology": "2x4"}


def test_a_lost_worker_restarts_all_and_spot_is_asked_for():
    scheduling = vertex.job_spec(ORDERS["Spot"])["scheduling"]
    assert scheduling == {
        "strategy": "SPOT",
        "timeout": "1800s",
        "restartJobOnWorkerRestart": True,
    }
    assert vertex.job_spec(ORDERS["flex start"])["scheduling"]["maxWaitDuration"] == "7200s"


def test_a_job_is_submitted_watched_and_listed(cloud: vertex.Vertex, server: Server):
    made = cloud.submit(order(tensorboard=BOARD))
    assert (made.state, made.title, made.workdir) == (
        job.WAITING,
        "first-try",
        "gs://bucket/runs/First_try",
    )
    assert made.page == (
        "https://console.cloud.google.com/agent-platform/locations/us-central1/training/1000"
        "?project=project"
    )
    assert "tensorboards+12+experiments+1000" in made.tensorboard
    assert [cloud.show(made.name).state for _ in range(2)] == [job.RUNNING, job.SUCCEEDED]
    cloud.submit(order(study=STUDY, trials=2, workdir="gs://bucket/runs/tuned"))
    assert {of.title for of in cloud.jobs()} == {"first-try", "tuned"}
    assert server.posted()[0] == vertex.body(order(tensorboard=BOARD))


def test_a_job_is_found_by_its_number_or_the_runs_name(cloud: vertex.Vertex):
    made = cloud.submit(order())
    assert cloud.show("1000").name == cloud.show("first-try").name == made.name
    with pytest.raises(Refusal, match="has no job 'second-try' of this program in us-central1"):
        cloud.show("second-try")


def test_a_job_is_cancelled(cloud: vertex.Vertex):
    made = cloud.submit(order())
    cloud.cancel(made.name)
    states = [cloud.show(made.name).state for _ in range(2)]
    assert states == [job.RUNNING, job.CANCELLED]


def test_a_failed_job_says_why(cloud: vertex.Vertex, server: Server):
    server.states, server.error = ["JOB_STATE_FAILED"], "The replica workerpool0-0 exited\nwith 2."
    made = cloud.submit(order())
    shown = cloud.show(made.name)
    assert (shown.state, shown.error) == (job.FAILED, "The replica workerpool0-0 exited with 2.")


@pytest.mark.parametrize("lost", ["late", (503, {"message": "try again"}, {}), "drop"])
def test_there_is_one_job_although_an_answer_was_lost(
    cloud: vertex.Vertex, server: Server, lost: object
):
    server.failures = [lost]
    made = cloud.submit(order())
    assert list(server.jobs) == [made.name]


def test_a_service_that_keeps_failing_is_not_submitted_to_for_ever(
    cloud: vertex.Vertex, server: Server
):
    server.failures = [(503, {"message": "try again"}, {})] * 9
    with pytest.raises(Unavailable):
        cloud.submit(order())
    assert not server.jobs


def test_the_log_goes_on_where_it_was_read(cloud: vertex.Vertex, server: Server):
    server.log = [
        {"timestamp": "2026-11-25T10:00:01Z", "textPayload": "epoch 1\n"},
        {"timestamp": "2026-11-25T10:00:02Z", "jsonPayload": {"message": "epoch 2"}},
    ]
    made = cloud.submit(order())
    lines = cloud.log(made.name, "")
    assert [line for _, line in lines] == ["epoch 1", "epoch 2"]
    assert cloud.log(made.name, lines[0][0]) == lines[1:]
    request = next(a.body for a in server.asked if a.path == "/v2/entries:list")
    assert not discovery.errors(request, "logging", "v2", "ListLogEntriesRequest")
    assert f'resource.labels.job_id="{made.name.rsplit("/", 1)[-1]}"' in request["filter"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["four workers", "Spot", "a TensorBoard", "a tuning"])
def test_gcloud_submits_the_file_as_this_does(name: str, server: Server, tmp_path: Path):
    if shutil.which("gcloud") is None:
        pytest.skip("needs gcloud, Google's command line")
    of = ORDERS[name]
    file = tmp_path / "job.yaml"
    file.write_text(vertex.file(of))
    done = subprocess.run(
        [*vertex.command(of, str(file)), "--format=json"],
        env={
            **os.environ,
            **server.environment,
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    kind = CustomJob if of.study is None else HyperparameterTuningJob
    (sent,) = server.posted()
    theirs, ours = (json_format.ParseDict(b, kind.pb(kind())) for b in (sent, vertex.body(of)))
    assert theirs == ours
    assert yaml.safe_load(file.read_text()) and json.loads(done.stdout)["displayName"] == of.name
