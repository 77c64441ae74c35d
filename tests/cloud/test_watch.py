"""A job is followed to its end, with its log, and left running on Ctrl-C."""

import json
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.cloud import orders
from trainer.cloud import cloud_job, google_storage, watch
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.order import Order
from trainer.cloud.vertex import Vertex
from trainer.system.errors import Stopped, UsageError

LOG = [
    {"timestamp": "2026-11-25T10:00:01Z", "textPayload": "epoch 1"},
    {"timestamp": "2026-11-25T10:00:02Z", "textPayload": "epoch 2\x1b[2J"},
]


@pytest.fixture
def in_bucket(gcs) -> Order:
    return orders.order(workdir=f"gs://{gcs.bucket()}/runs/first")


def follow(vertex_ai: Vertex, order: Order) -> None:
    client = google_storage.client("project")
    watch.follow(vertex_ai, vertex_ai.submit(order), order, client=client, poll_seconds=0.01)


def test_states_log_and_result_are_shown(vertex_ai, service, in_bucket, capsys):
    service.log = list(LOG)
    measured = {"images": 24, "step": 580, "labels": {"pneumonia": {"auc": {"value": 0.9876}}}}
    file = f"{in_bucket.workdir}/evaluation/test.json"
    google_storage.write_text(google_storage.client("project"), file, json.dumps(measured))
    follow(vertex_ai, in_bucket)
    assert capsys.readouterr().out.splitlines() == [
        "the job is running",
        "epoch 1",
        r"epoch 2\x1b[2J",
        "the job is succeeded",
        "test AUC 0.988 on 24 images, step 580",
        f"bring it here: radiograph jobs fetch {in_bucket.workdir} runs/first",
    ]


def test_a_damaged_result_is_a_sentence(in_bucket):
    client = google_storage.client("project")
    file = f"{in_bucket.workdir}/evaluation/test.json"
    for damage in ("[" * 100_000, "[]", '{"labels": {"a": {}}}', "{"):
        google_storage.write_text(client, file, damage)
        with pytest.raises(UsageError, match=f"^{file} .*"):
            watch.result(client, in_bucket.workdir)


def test_failed_job_ends_with_its_reason(vertex_ai, service, in_bucket):
    service.states, service.error = (
        ["JOB_STATE_RUNNING", "JOB_STATE_FAILED"],
        "exit status 65",
    )
    with pytest.raises(watch.JobFailed, match=r"the job has failed \(exit status 65\)"):
        follow(vertex_ai, in_bucket)


def test_job_is_followed_although_its_log_cannot_be_read(vertex_ai, service, in_bucket, capsys):
    made = vertex_ai.submit(in_bucket)
    service.failures = [None, (403, {"message": "no logs for you"}, {})]
    watch.follow(
        vertex_ai, made, in_bucket, client=google_storage.client("project"), poll_seconds=0.01
    )
    assert f"the results are in {in_bucket.workdir}" in capsys.readouterr().out


@pytest.fixture
def sigint_handler() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, even where tests run with SIGINT ignored (nohup ... &)."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_ctrl_c_leaves_the_job_running_and_says_how_to_stop_it(
    vertex_ai, service, in_bucket, sigint_handler
):
    service.states = ["JOB_STATE_RUNNING"]
    made = vertex_ai.submit(in_bucket)
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(Stopped, match=f"radiograph jobs cancel {made.name}") as ending:
        watch.follow(
            vertex_ai, made, in_bucket, client=google_storage.client("project"), poll_seconds=0.01
        )
    assert ending.value.exit_code == 130
    assert vertex_ai.show(made.name).state == cloud_job.RUNNING


class Preempting:
    """A platform whose machine is preempted once."""

    def __init__(self):
        self.states, self.resumed = (
            [cloud_job.RUNNING, cloud_job.PREEMPTED, cloud_job.RUNNING, cloud_job.SUCCEEDED],
            [],
        )

    def show(self, name: str) -> CloudJob:
        return CloudJob(name, "first", self.states.pop(0))

    def resume(self, order: Order, job: CloudJob) -> CloudJob:
        self.resumed.append((order, job.name))
        return job._replace(state=cloud_job.WAITING)

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        return []


def test_preempted_job_is_resumed(in_bucket):
    platform = Preempting()
    watch.follow(
        platform,
        CloudJob("a/b", "first", cloud_job.WAITING),
        in_bucket,
        client=google_storage.client(),
        poll_seconds=0.001,
    )
    assert platform.resumed == [(in_bucket, "a/b")]


def test_jobs_are_listed_in_columns():
    jobs = [
        CloudJob(
            "projects/p/locations/l/customJobs/1",
            "first",
            cloud_job.RUNNING,
            "2026-11-25T10:00:00.1Z",
        ),
        CloudJob(
            "projects/p/locations/l/customJobs/2",
            "second-try",
            cloud_job.FAILED,
            "2026-11-24T09:00:00Z",
        ),
    ]
    head, first, second = watch.table(jobs).splitlines()
    assert first.startswith("running  2026-11-25 10:00:00  first       projects/p/")
    assert head.index("job") == first.index("projects") == second.index("projects")
