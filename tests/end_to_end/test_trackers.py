"""A run that is killed twice has the same curves in TensorBoard, MLflow and W&B."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.forks import Forks
from trainer.config.schema import default
from trainer.show import wandb_file

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PARTS = ("train", "validation", "test")
# Of the process, or of its time, when they are asked for: no curves of the training.
OWN = ("train/speed/share_of_", "train/speed/host_memory_gib")

# Kills itself at a step, or at a later one, once both trackers have begun: a call that failed is
# made again with the next points alone. (W&B writes its file in blocks of 32 KiB.)
KILLED = """
import json, os, pathlib, signal, sys, time
from trainer import task
from trainer.training import step

kill_step, workdir = int(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1))
make_loop = step.train_loop

def arrived():
    import mlflow
    if not (workdir / "mlflow.json").exists() or not (workdir / "wandb.json").exists():
        return False
    identity = json.loads((workdir / "mlflow.json").read_text())["run_id"]
    return mlflow.MlflowClient().get_run(identity).data.metrics

def train_loop(*args, **named):
    loop = make_loop(*args, **named)

    def run(batches, steps):
        result = loop(batches, steps)
        for _ in range(100 if int(args[1].step) >= kill_step else 0):
            if arrived():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.2)
        return result

    return run

step.train_loop = train_loop
task.run()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server of MLflow."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    flags = {
        "backend-store-uri": f"sqlite:///{folder}/mlflow.db",
        "artifacts-destination": folder / "artifacts",
        "port": address.rpartition(":")[2],
        "workers": 1,
    }
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *(f"--{n}={v}" for n, v in flags.items())],
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError):
            urllib.request.urlopen(f"{address}/health")
            break
        time.sleep(0.5)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tensorboard_curves(workdir: Path) -> dict[str, list[tuple[int, float]]]:
    curves = {}
    for part in PARTS:
        events = EventAccumulator(str(workdir / "tensorboard" / part), {"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                points = [
                    (e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)
                ]
                curves[f"{part}/{tag}"] = sorted(points)
    return curves


def mlflow_curves(address: str, identity: str) -> dict[str, list[tuple[int, float]]]:
    import mlflow

    client, curves = mlflow.MlflowClient(address), {}
    for name in client.get_run(identity).data.metrics:
        history = client.get_metric_history(identity, name)
        curves[name] = sorted((metric.step, metric.value) for metric in history)
    return curves


def wandb_curves(workdir: Path) -> dict[str, list[tuple[int, float]]]:
    curves, numbers = dict[str, list](), []
    for file in sorted(workdir.glob("wandb/offline-run-*/*.wandb")):
        for number, values in wandb_file.points(file):
            numbers.append(number)
            for name, value in values.items():
                if "/" in name:
                    curves.setdefault(name, []).append((values["step"], value))
    assert numbers == list(range(len(numbers)))  # none twice and none left out
    return {name: sorted(points) for name, points in curves.items()}


def test_a_run_that_is_killed_twice_has_equal_curves_everywhere(
    forks: Forks, server: str, tiny: ConfigDict, tmp_path: Path
):
    tiny.loggers = "terminal,tensorboard,mlflow,wandb"
    tiny.checkpoint.every_steps, tiny.summaries.times, tiny.model.stages = 3, 1, 1
    tiny.augment = default().augment  # which takes long to compile
    config, workdir = tmp_path / "config.json", tmp_path / "runs" / "killed"
    config.write_text(tiny.to_json())
    job = (f"--config={config}", f"--workdir={workdir}")
    environment = os.environ | {"MLFLOW_TRACKING_URI": server, "WANDB_MODE": "offline"}
    for step in (8, 17):
        killed = forks.run("-c", KILLED, step, workdir, *job, environment=environment, timeout=280)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = forks.run("-m", "trainer.task", *job, environment=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    assert f"mlflow: {server}/#/experiments/" in done.stdout and "wandb: wandb sync" in done.stdout
    assert "fails" not in done.stdout and "not taken" not in done.stdout

    identity = json.loads((workdir / "mlflow.json").read_text())["run_id"]
    shown = tensorboard_curves(workdir)
    tracked = mlflow_curves(server, identity), wandb_curves(workdir)
    names = {"validation/metrics/auc", "test/metrics/auc", "train/training/step_loss"}
    for curves in tracked:
        assert names <= {*curves} <= {*shown}
        for name in [name for name in curves if not name.startswith(OWN)]:
            np.testing.assert_array_equal(
                np.float32(curves[name]), np.float32(shown[name]), err_msg=name
            )
    assert tracked[0].keys() == tracked[1].keys()
    assert len(list(workdir.glob("wandb/offline-run-*"))) == 3

    import mlflow

    client = mlflow.MlflowClient(server)
    run = client.get_run(identity)
    assert run.info.status == "FINISHED" and len(client.search_runs(["1"])) == 1
    assert run.data.params["train.epochs"] == "2"
    data = json.loads((workdir / "data_summary.json").read_text())
    assert run.data.tags["dataset_fingerprint"] == data["dataset_fingerprint"]
    assert run.data.tags["checkpoints"] == str(workdir / "checkpoints")
    page = client.download_artifacts(identity, "report.html", str(tmp_path))
    assert Path(page).read_bytes() == (workdir / "report.html").read_bytes()
    assert client.list_artifacts(identity, "pictures/test")
