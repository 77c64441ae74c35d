"""One command takes a config to a cloud and brings back the run: the jobs are really run.

The service is a server on this machine that starts the task as Vertex AI would: with the arguments
of its container, TF_CONFIG and AIP_ variables, in processes that know the bucket alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from etils import epath

from tests.cloud.vertex_server import Vertex
from trainer.distribute.local_workers import cluster_variables

ROOT = Path(__file__).parents[2]
SMALL = [
    "--config.data.image_size=32",
    "--config.model.width=4",
    "--config.train.epochs=2",
    "--config.train.batch_size=8",
    "--config.summaries.times=0",
]


class RunningVertex(Vertex):
    """Runs its jobs: the workers of one together, the trials of a tuning one after the other."""

    def __init__(self, environment: dict[str, str], folder: Path):
        super().__init__()
        self.job_environment, self.folder = environment, folder
        self.workers: dict[str, list[subprocess.Popen]] = {}
        self.trials: list[list[dict]] = []

    def create(self, parent: str, kind: str, body: dict) -> dict:
        job = super().create(parent, kind, body)
        if kind == "customJobs":
            spec = job["jobSpec"]
            base = spec["baseOutputDirectory"]["outputUriPrefix"]
            self.workers[job["name"]] = self.start(spec, base, [], {})
        else:
            job["state"] = "JOB_STATE_SUCCEEDED" if self.tune(body) else "JOB_STATE_FAILED"
            job["trials"] = self.measured()
            self._coming[job["name"]] = []
        return job

    def look(self, name: str) -> dict:
        if workers := self.workers.get(name):
            codes = [worker.poll() for worker in workers]
            ended = None not in codes
            state = "RUNNING" if not ended else "FAILED" if any(codes) else "SUCCEEDED"
            self._coming[name], self.error = [f"JOB_STATE_{state}"], f"exit codes {codes}"
        return super().look(name)

    def start(
        self, spec: dict, base: str, more: list[str], environment: dict[str, str]
    ) -> list[subprocess.Popen]:
        """Starts the task once for each machine that was ordered."""
        pools = spec["workerPoolSpecs"]
        counts = [int(pool["replicaCount"]) for pool in pools]
        addresses = json.loads(cluster_variables(sum(counts))[0]["TF_CONFIG"])["cluster"]["worker"]
        cluster = {"chief": addresses[:1], "worker": addresses[1:]}
        tasks = [("chief", 0), *(("worker", index) for index in range(sum(counts) - 1))]
        started = []
        for kind, index in tasks:
            (arguments,) = {tuple(pool["containerSpec"]["args"]) for pool in pools}
            place = {
                "cluster": {name: of for name, of in cluster.items() if of},
                "environment": "cloud",
                "job": json.dumps(spec),
                "task": {"type": kind, "index": index, "trial": ""},
            }
            log = open(self.folder / f"{len(list(self.folder.iterdir()))}.log", "w")  # noqa: SIM115
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "trainer.task", *arguments, *more],
                    env={
                        **self.job_environment,
                        "TF_CONFIG": json.dumps(place),
                        "AIP_MODEL_DIR": f"{base}/model/",
                        "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/",
                        "AIP_TENSORBOARD_LOG_DIR": f"{base}/logs/",
                        **environment,
                    },
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
            )
        return started

    def tune(self, body: dict) -> bool:
        """Runs every trial, with values from the ends of the ranges."""
        spec = body["trialJobSpec"]
        for trial in range(1, body["maxTrialCount"] + 1):
            chosen = [
                f"--{of['parameterId']}={_value(of, trial)}"
                for of in body["studySpec"]["parameters"]
            ]
            base = f"{spec['baseOutputDirectory']['outputUriPrefix']}/{trial}"
            metrics = self.folder / f"metrics-{trial}"
            variables = {"CLOUD_ML_HP_METRIC_FILE": str(metrics), "CLOUD_ML_TRIAL_ID": str(trial)}
            (worker,) = self.start(spec, base, chosen, variables)
            if worker.wait(300):
                return False
            self.trials.append([json.loads(line) for line in metrics.read_text().splitlines()])
        return True

    def measured(self) -> list[dict]:
        """Returns the trials as the service tells of them."""
        values = [max(float(line["validation_auc"]) for line in trial) for trial in self.trials]
        return [
            {
                "id": str(number),
                "parameters": [{"parameterId": "config.seed", "value": number}],
                "finalMeasurement": {"metrics": [{"metricId": "validation_auc", "value": value}]},
            }
            for number, value in enumerate(values, start=1)
        ]

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def _value(parameter: dict, trial: int) -> object:
    if "categoricalValueSpec" in parameter:
        return parameter["categoricalValueSpec"]["values"][-1]
    of = parameter.get("doubleValueSpec") or parameter["integerValueSpec"]
    return of["minValue"] if trial % 2 else of["maxValue"]


@pytest.fixture
def environment(bucket) -> dict[str, str]:
    """What leads both of Google's clients to the bucket."""
    here = {**bucket.environment, "REQUESTS_CA_BUNDLE": bucket.environment["CURL_CA_BUNDLE"]}
    return {name: value for name, value in here.items() if name != "STORAGE_EMULATOR_HOST"}


@pytest.fixture
def vertex(environment: dict[str, str], tmp_path: Path) -> Iterator[RunningVertex]:
    folder = tmp_path / "machines"
    folder.mkdir()
    vertex = RunningVertex(environment, folder)
    yield vertex
    for workers in vertex.workers.values():
        for worker in workers:
            worker.kill()
    vertex.close()


def submit(
    vertex: RunningVertex, environment: dict[str, str], data: epath.Path, *flags: str
) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "submit", "--config=configs/demo.py", *SMALL]
        + [f"--data={data}", "--config.data.path=gs://bucket/data", "--accelerator=cpu"]
        + ["--region=us-central1", "--image=127.0.0.1:1/trainer:1", "--wait", *flags],
        env={**environment, **vertex.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{vertex.logs()}"
    return done


def in_bucket(environment: dict[str, str], code: str) -> str:
    """Returns what a program prints that looks into the bucket as TensorFlow does."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LISTED = """
import posixpath
import tensorflow as tf
for folder, _, files in tf.io.gfile.walk("gs://bucket/runs/{}"):
    for file in files:
        print(posixpath.join(folder, file).removeprefix("gs://bucket/runs/"))
"""


READ = "from etils import epath; print(epath.Path('gs://bucket/runs/{}').read_text())"


@pytest.mark.slow
def test_two_machines_train_and_the_run_comes_back(
    vertex: RunningVertex, environment: dict[str, str], phantoms: epath.Path
):
    run = ["--workdir=gs://bucket/runs/two", "--workers=2"]
    done = submit(vertex, environment, phantoms, *run)
    assert "the job is succeeded" in done.stdout and "test AUC 0." in done.stdout
    assert "MultiWorkerMirrored" in vertex.logs()
    files = in_bucket(environment, LISTED.format("two")).split()
    for name in ("config.json", "evaluation/test.json", "report.html", "submitted.json"):
        assert any(file.endswith(f"two/{name}") for file in files), files
    assert any("two/logs/train/events" in file for file in files)
    assert not any("two/tensorboard" in file for file in files)
    again = submit(vertex, environment, phantoms, *run)
    assert "goes on with the one in gs://bucket/runs/two" in again.stdout
    assert "uploaded 0 files" in again.stdout


@pytest.mark.slow
def test_each_trial_of_a_tuning_tells_how_good_it_is(
    vertex: RunningVertex, environment: dict[str, str], phantoms: epath.Path
):
    done = submit(vertex, environment, phantoms, "--workdir=gs://bucket/runs/tuned", "--trials=2")
    assert (
        "best: trial " in done.stdout and "all trials are in gs://bucket/runs/tuned" in done.stdout
    )
    assert [[line["global_step"] for line in trial] for trial in vertex.trials] == [["1", "2"]] * 2
    files = in_bucket(environment, LISTED.format("tuned"))
    rates = set()
    for trial in (1, 2):
        assert f"tuned/{trial}/evaluation/test.json" in files
        assert f"tuned/{trial}/logs/train/events" in files
        config = json.loads(in_bucket(environment, READ.format(f"tuned/{trial}/config.json")))
        rates.add(config["optimizer"]["learning_rate"])
    assert len(rates) == 2
