"""The job of an order is valid for Google's own types, documents and command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

from tests.cloud import discovery
from tests.cloud.orders import BOARD, ORDERS, STUDY, order
from tests.cloud.vertex_server import Vertex as Server
from trainer.cloud import cloud_job, vertex, watch
from trainer.system.errors import Unavailable, UsageError

SCHEMA = "GoogleCloudAiplatformV1"


@pytest.mark.parametrize("name", ORDERS)
def test_job_is_valid(name: str):
    body = vertex.body(ORDERS[name])
    kind = CustomJob if ORDERS[name].study is None else HyperparameterTuningJob
    assert json_format.ParseDict(body, kind.pb(kind())).display_name == "first-try"
    assert not discovery.errors(body, "aiplatform", "v1", SCHEMA + kind.__name__)


def test_unknown_field_would_be_found():
    wrong = vertex.body(order())
    wrong["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["acceleratorTyp"] = "NVIDIA_L4"
    assert discovery.errors(wrong, "aiplatform", "v1", SCHEMA + "CustomJob")
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(wrong, CustomJob.pb(CustomJob()))


def test_chief_is_a_pool_and_the_other_machines_are_another():
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


def test_tpu_has_a_topology_and_no_accelerators():
    (pool,) = vertex.job_spec(ORDERS["a TPU"])["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "ct5lp-hightpu-8t", "tpuTopology": "2x4"}
    names = {each["name"] for each in pool["containerSpec"]["env"]}
    assert names == {"NEXT_PLUGGABLE_DEVICE_USE_C_API", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"}


def test_scheduling_restarts_all_workers_and_uses_spot_or_flex_start():
    scheduling = vertex.job_spec(ORDERS["Spot"])["scheduling"]
    expected = {"strategy": "SPOT", "timeout": "1800s", "restartJobOnWorkerRestart": True}
    assert scheduling == expected
    assert vertex.job_spec(ORDERS["flex start"])["scheduling"]["maxWaitDuration"] == "7200s"


def test_job_is_submitted_found_by_every_name_and_listed(vertex_ai: vertex.Vertex, service: Server):
    job = vertex_ai.submit(order(tensorboard=BOARD))
    assert service.posted() == [vertex.body(order(tensorboard=BOARD))]
    assert (job.state, job.title) == (cloud_job.WAITING, "first-try")
    assert job.workdir == "gs://bucket/runs/First_try"
    assert job.page.startswith("https://console.cloud.google.com/agent-platform/locations/us-cent")
    assert job.page.endswith("/training/1000?project=project")
    assert "tensorboards+12+experiments+1000" in job.tensorboard
    shown = [vertex_ai.show(name) for name in (job.name, "1000", "first-try")]
    assert {each.name for each in shown} == {job.name}
    assert shown[-1].state == cloud_job.SUCCEEDED
    with pytest.raises(UsageError, match="has no job 'second-try' of this program in us-central1"):
        vertex_ai.show("second-try")
    vertex_ai.submit(order(study=STUDY, trials=2, workdir="gs://bucket/runs/tuned"))
    assert {each.title for each in vertex_ai.jobs()} == {"first-try", "tuned"}


@pytest.mark.parametrize("command", [(), ("evaluate", "gs://bucket/run")])
def test_only_a_training_is_shown_with_tensorboard(
    vertex_ai: vertex.Vertex, service: Server, command: tuple[str, ...]
):
    job = vertex_ai.submit(order(command=command))
    assert ("TensorBoard" in watch.describe(vertex_ai.show(job.name))) == (not command)


def test_job_is_cancelled(vertex_ai: vertex.Vertex):
    job = vertex_ai.submit(order())
    vertex_ai.cancel(job.name)
    states = [vertex_ai.show(job.name).state for _ in range(2)]
    assert states == [cloud_job.RUNNING, cloud_job.CANCELLED]


def test_failed_job_has_the_reason(vertex_ai: vertex.Vertex, service: Server):
    service.states, service.error = ["JOB_STATE_FAILED"], "The replica exited\nwith 2."
    shown = vertex_ai.show(vertex_ai.submit(order()).name)
    assert (shown.state, shown.error) == (cloud_job.FAILED, "The replica exited with 2.")


def test_tuning_names_its_best_trial_so_far(vertex_ai: vertex.Vertex, service: Server):
    job = vertex_ai.submit(ORDERS["a tuning"])
    assert job.best == ""
    rate, trials = "config.optimizer.learning_rate", []
    for number, auc in enumerate([0.91, 0.95, None], start=1):
        metrics = [] if auc is None else [{"metricId": "validation_auc", "value": auc}]
        values = [{"parameterId": rate, "value": number / 1000}]
        measurement = {"metrics": metrics}
        trial = {"id": str(number), "parameters": values, "finalMeasurement": measurement}
        trials.append(trial)
    service.jobs[job.name]["trials"] = trials
    assert vertex_ai.show(job.name).best == f"trial 2, validation_auc 0.9500: --{rate}=0.002"
    answer = {key: value for key, value in service.jobs[job.name].items() if key != "createTime"}
    json_format.ParseDict(answer, HyperparameterTuningJob.pb(HyperparameterTuningJob()))


@pytest.mark.parametrize("lost", ["late", (503, {"message": "try again"}, {}), "drop"])
def test_lost_answer_leads_to_no_second_job(
    vertex_ai: vertex.Vertex, service: Server, lost: object
):
    service.failures = [lost]
    job = vertex_ai.submit(order())
    assert list(service.jobs) == [job.name]


def test_failing_service_is_unavailable(vertex_ai: vertex.Vertex, service: Server):
    service.failures = [(503, {"message": "try again"}, {})] * 9
    with pytest.raises(Unavailable):
        vertex_ai.submit(order())
    assert not service.jobs


def test_log_continues_after_a_time(vertex_ai: vertex.Vertex, service: Server):
    service.log = [
        {"timestamp": "2026-11-25T10:00:01Z", "textPayload": "epoch 1\n"},
        {"timestamp": "2026-11-25T10:00:02Z", "jsonPayload": {"message": "epoch 2"}},
    ]
    job = vertex_ai.submit(order())
    lines = vertex_ai.log(job.name, "")
    assert [line for _, line in lines] == ["epoch 1", "epoch 2"]
    assert vertex_ai.log(job.name, lines[0][0]) == lines[1:]
    request = next(a.body for a in service.asked if a.path == "/v2/entries:list")
    assert not discovery.errors(request, "logging", "v2", "ListLogEntriesRequest")
    assert f'resource.labels.job_id="{job.name.rsplit("/", 1)[-1]}"' in request["filter"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["everything", "a tuning"])
def test_gcloud_submits_the_same_job(name: str, service: Server, tmp_path: Path):
    everything = replace(ORDERS["a TensorBoard"], workers=4, capacity="spot", labels={"a": "b"})
    chosen = ORDERS.get(name, everything)
    file = tmp_path / "job.yaml"
    file.write_text(vertex.file(chosen))
    done = service.gcloud([*vertex.command(chosen, str(file)), "--format=json"], tmp_path)
    assert done.returncode == 0, done.stderr
    kind = CustomJob if chosen.study is None else HyperparameterTuningJob
    (sent,) = service.posted()
    theirs, ours = (
        json_format.ParseDict(body, kind.pb(kind())) for body in (sent, vertex.body(chosen))
    )
    assert theirs == ours
    assert json.loads(done.stdout)["displayName"] == chosen.name
