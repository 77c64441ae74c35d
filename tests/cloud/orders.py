"""Orders of every kind, for the tests to send."""

from dataclasses import replace

from trainer.cloud import machines
from trainer.cloud.order import Order
from trainer.config.schema import default


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


def tpu_order(**changed: object) -> Order:
    return order(
        **{
            "platform": "tpu_vm",
            "zone": "us-central1-a",
            "machine": machines.choose("tpu-v5e:8", "", "tpu_vm"),
            **changed,
        }
    )


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
