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
from tests.forks import Forks
from trainer.distribute.local_workers import cluster_variables

ROOT = Path(__file__).parents[2]
SMALL = [
    "--config.data.image_size=32",
    "--config.model.width=4",
    "--config.model.stages=1",
    "--config.augment.jit_compile=false",
    "--config.train.epochs=1",
    "--config.train.batch_size=8",
    "--config.summaries.times=0",
    "--config.profile.flops=false",
]


class RunningVertex(Vertex):
    """Runs its jobs: the workers of one together, the trials of a tuning one after the other."""

    def __init__(self, python: Path, environment: dict[str, str], folder: Path):
        super().__init__()
        self.python, self.job_environment, self.folder = python, environment, folder
        self.workers: dict[str, list[subprocess.Popen]] = {}
        self.trials: list[list[dict]] = []

    def create(self, parent: str, kind: str, body: dict) -> dict:
        job = super().create(parent, kind, body)
        if kind == "customJobs":
            spec = job["jobSpec"]
            base = spec["baseOutputDirectory"]["outputUriPrefix"]
            self.workers[job["name"]] = self.start(spec, base, [], {})
        else:
            job["state"], self._coming[job["name"]] = "JOB_STATE_RUNNING", []
            succeeded = self.tune(body)
            job["trials"] = self.measured()
            job["state"] = "JOB_STATE_SUCCEEDED" if succeeded else "JOB_STATE_FAILED"
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
                "cluster": {name: known for name, known in cluster.items() if known},
                "environment": "cloud",
                "job": json.dumps(spec),
                "task": {"type": kind, "index": index, "trial": ""},
            }
            log = open(self.folder / f"{len(list(self.folder.iterdir()))}.log", "w")  # noqa: SIM115
            started.append(
                subprocess.Popen(
                    [self.python, "-m", "trainer.task", *arguments, *more],
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
                f"--{parameter['parameterId']}={_value(parameter, trial)}"
                for parameter in body["studySpec"]["parameters"]
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
        """Returns the trials as the service reports them."""
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
    ends = parameter.get("doubleValueSpec") or parameter["integerValueSpec"]
    return ends["minValue"] if trial % 2 else ends["maxValue"]


@pytest.fixture
def environment(bucket) -> dict[str, str]:
    """What leads both of Google's clients to the bucket."""
    found = {**bucket.environment, "REQUESTS_CA_BUNDLE": bucket.environment["CURL_CA_BUNDLE"]}
    return {name: value for name, value in found.items() if name != "STORAGE_EMULATOR_HOST"}


@pytest.fixture
def vertex(forks: Forks, environment: dict[str, str], tmp_path: Path) -> Iterator[RunningVertex]:
    folder = tmp_path / "machines"
    folder.mkdir()
    vertex = RunningVertex(forks.python, environment, folder)
    yield vertex
    for workers in vertex.workers.values():
        for worker in workers:
            worker.kill()
    vertex.close()


def submit(
    vertex: RunningVertex, environment: dict[str, str], data: epath.Path, *flags: str
) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "submit", f"--config={ROOT}/configs/demo.py", *SMALL]
        + [f"--data={data}", "--config.data.path=gs://bucket/data", "--accelerator=cpu"]
        + ["--region=us-central1", "--image=127.0.0.1:1/trainer:1", "--wait", *flags],
        env={**environment, **vertex.environment, "PYTHONPATH": str(ROOT)},
        cwd=vertex.folder.parent,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{vertex.logs()}"
    return done


@pytest.mark.long
@pytest.mark.timeout(500)
def test_two_machines_train_and_the_run_comes_back(
    vertex: RunningVertex,
    environment: dict[str, str],
    bucket,
    phantoms: epath.Path,
    tmp_path: Path,
):
    run = ["--workdir=gs://bucket/runs/two", "--workers=2"]
    done = submit(vertex, environment, phantoms, *run)
    assert "the job is succeeded" in done.stdout and "test AUC 0." in done.stdout
    assert "MultiWorkerMirrored" in vertex.logs()
    bucket.fetch("runs/two", tmp_path / "two")
    for name in ("config.json", "evaluation/test.json", "report.html", "submitted.json"):
        assert (tmp_path / "two" / name).is_file()
    assert list((tmp_path / "two/logs/train").glob("events*"))
    assert not (tmp_path / "two/tensorboard").exists()
    again = submit(vertex, environment, phantoms, *run, "--dry_run")
    assert "continues the one in gs://bucket/runs/two" in again.stdout


@pytest.mark.long
@pytest.mark.timeout(500)
def test_each_trial_of_a_tuning_reports_its_validation_auc(
    vertex: RunningVertex,
    environment: dict[str, str],
    bucket,
    phantoms: epath.Path,
    tmp_path: Path,
):
    done = submit(vertex, environment, phantoms, "--workdir=gs://bucket/runs/tuned", "--trials=2")
    assert "best: trial " in done.stdout
    assert "all trials are in gs://bucket/runs/tuned" in done.stdout
    bucket.fetch("runs/tuned", tmp_path / "tuned")
    rates = set()
    for trial, measurements in enumerate(vertex.trials, start=1):
        folder = tmp_path / "tuned" / str(trial)
        assert (folder / "evaluation/test.json").is_file()
        assert list((folder / "logs/train").glob("events*"))
        epochs = json.loads((folder / "history.json").read_text())
        assert [
            (int(each["global_step"]), float(each["validation_auc"])) for each in measurements
        ] == [(epoch["epoch"], epoch["validation"]["auc"]) for epoch in epochs]
        config = json.loads((folder / "config.json").read_text())
        rates.add(config["optimizer"]["learning_rate"])
    assert len(vertex.trials) == len(rates) == 2
