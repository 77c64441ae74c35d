"""An order becomes a job that Google's own types, documents and command line take."""

import json
from pathlib import Path

import pytest
import yaml
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

from tests.cloud import discovery
from tests.cloud.orders import BOARD, ORDERS, STUDY, order
from tests.cloud.vertex_server import Vertex as Server
from trainer.cloud import cloud_job, vertex
from trainer.system.errors import Unavailable, UsageError

SCHEMA = "GoogleCloudAiplatformV1"


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
    names = {each["name"] for each in pool["containerSpec"]["env"]}
    assert names == {"NEXT_PLUGGABLE_DEVICE_USE_C_API", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"}


def test_a_lost_worker_restarts_all_and_spot_is_asked_for():
    scheduling = vertex.job_spec(ORDERS["Spot"])["scheduling"]
    assert scheduling == {
        "strategy": "SPOT",
        "timeout": "1800s",
        "restartJobOnWorkerRestart": True,
    }
    assert vertex.job_spec(ORDERS["flex start"])["scheduling"]["maxWaitDuration"] == "7200s"


def test_a_job_is_submitted_watched_and_listed(vertex_ai: vertex.Vertex, service: Server):
    made = vertex_ai.submit(order(tensorboard=BOARD))
    assert (made.state, made.title, made.workdir) == (
        cloud_job.WAITING,
        "first-try",
        "gs://bucket/runs/First_try",
    )
    assert made.page == (
        "https://console.cloud.google.com/agent-platform/locations/us-central1/training/1000"
        "?project=project"
    )
    assert "tensorboards+12+experiments+1000" in made.tensorboard
    assert [vertex_ai.show(made.name).state for _ in range(2)] == [
        cloud_job.RUNNING,
        cloud_job.SUCCEEDED,
    ]
    vertex_ai.submit(order(study=STUDY, trials=2, workdir="gs://bucket/runs/tuned"))
    assert {of.title for of in vertex_ai.jobs()} == {"first-try", "tuned"}
    assert service.posted()[0] == vertex.body(order(tensorboard=BOARD))


def test_a_job_is_found_by_its_number_or_the_runs_name(vertex_ai: vertex.Vertex):
    made = vertex_ai.submit(order())
    assert vertex_ai.show("1000").name == vertex_ai.show("first-try").name == made.name
    with pytest.raises(UsageError, match="has no job 'second-try' of this program in us-central1"):
        vertex_ai.show("second-try")


def test_a_job_is_cancelled(vertex_ai: vertex.Vertex):
    made = vertex_ai.submit(order())
    vertex_ai.cancel(made.name)
    states = [vertex_ai.show(made.name).state for _ in range(2)]
    assert states == [cloud_job.RUNNING, cloud_job.CANCELLED]


def test_a_failed_job_says_why(vertex_ai: vertex.Vertex, service: Server):
    service.states, service.error = (
        ["JOB_STATE_FAILED"],
        "The replica workerpool0-0 exited\nwith 2.",
    )
    made = vertex_ai.submit(order())
    shown = vertex_ai.show(made.name)
    assert (shown.state, shown.error) == (
        cloud_job.FAILED,
        "The replica workerpool0-0 exited with 2.",
    )


def test_a_tuning_names_its_best_trial_so_far(vertex_ai: vertex.Vertex, service: Server):
    made = vertex_ai.submit(ORDERS["a tuning"])
    assert made.best == ""
    rate, trials = "config.optimizer.learning_rate", []
    for number, auc in enumerate([0.91, 0.95, None], start=1):
        metrics = [] if auc is None else [{"metricId": "validation_auc", "value": auc}]
        values = [{"parameterId": rate, "value": number / 1000}]
        of = {"id": str(number), "parameters": values, "finalMeasurement": {"metrics": metrics}}
        trials.append(of)
    service.jobs[made.name]["trials"] = trials
    found = vertex_ai.show(made.name)
    assert found.best == f"trial 2, validation_auc 0.9500: --{rate}=0.002"
    told = {key: value for key, value in service.jobs[made.name].items() if key != "createTime"}
    json_format.ParseDict(told, HyperparameterTuningJob.pb(HyperparameterTuningJob()))


@pytest.mark.parametrize("lost", ["late", (503, {"message": "try again"}, {}), "drop"])
def test_there_is_one_job_although_an_answer_was_lost(
    vertex_ai: vertex.Vertex, service: Server, lost: object
):
    service.failures = [lost]
    made = vertex_ai.submit(order())
    assert list(service.jobs) == [made.name]


def test_a_service_that_keeps_failing_is_not_submitted_to_for_ever(
    vertex_ai: vertex.Vertex, service: Server
):
    service.failures = [(503, {"message": "try again"}, {})] * 9
    with pytest.raises(Unavailable):
        vertex_ai.submit(order())
    assert not service.jobs


def test_the_log_goes_on_where_it_was_read(vertex_ai: vertex.Vertex, service: Server):
    service.log = [
        {"timestamp": "2026-11-25T10:00:01Z", "textPayload": "epoch 1\n"},
        {"timestamp": "2026-11-25T10:00:02Z", "jsonPayload": {"message": "epoch 2"}},
    ]
    made = vertex_ai.submit(order())
    lines = vertex_ai.log(made.name, "")
    assert [line for _, line in lines] == ["epoch 1", "epoch 2"]
    assert vertex_ai.log(made.name, lines[0][0]) == lines[1:]
    request = next(a.body for a in service.asked if a.path == "/v2/entries:list")
    assert not discovery.errors(request, "logging", "v2", "ListLogEntriesRequest")
    assert f'resource.labels.job_id="{made.name.rsplit("/", 1)[-1]}"' in request["filter"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["four workers", "Spot", "a TensorBoard", "a tuning"])
def test_gcloud_submits_the_file_as_this_does(name: str, service: Server, tmp_path: Path):
    of = ORDERS[name]
    file = tmp_path / "job.yaml"
    file.write_text(vertex.file(of))
    done = service.gcloud([*vertex.command(of, str(file)), "--format=json"], tmp_path)
    assert done.returncode == 0, done.stderr
    kind = CustomJob if of.study is None else HyperparameterTuningJob
    (sent,) = service.posted()
    theirs, ours = (json_format.ParseDict(b, kind.pb(kind())) for b in (sent, vertex.body(of)))
    assert theirs == ours
    assert yaml.safe_load(file.read_text()) and json.loads(done.stdout)["displayName"] == of.name
