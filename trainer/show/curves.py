"""The curves of a run, by their names in TensorBoard; every tracker shows the same."""

from collections.abc import Mapping
from typing import Any

from trainer.system import memory
from trainer.training.loop_timer import LoopTimer
from trainer.training.run import Run
from trainer.training.step import LoopResult

CURVES = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")

PURPOSES = ("evaluation", "pictures", "checkpoints", "input", "other")
STEPS = ("step_milliseconds_median", "step_milliseconds_p95")

Values = dict[str, float | None]


def of_metrics(metrics: Mapping[str, Any]) -> Values:
    """Returns the curves in the metrics of `classification.measure_all`, those of labels too."""
    values = {f"metrics/{name}": metrics[name] for name in CURVES}
    if "spread" in metrics:
        values["metrics/spread"] = metrics["spread"]
    for label, label_metrics in metrics.get("labels", {}).items():
        values |= {f"metrics_by_label/{name}/{label}": label_metrics[name] for name in CURVES}
    return values


def of_loop(run: Run, result: LoopResult, timer: LoopTimer) -> Values:
    """Returns loss, norms and, after the first loop, which compiles, speed."""
    values: Values = {
        "training/step_loss": float(result.losses.mean()),
        "training/learning_rate": run.learning_rate,
        "training/gradient_norm": result.gradient_norm,
        "training/update_ratio": result.update_ratio,
    }
    if run.config.precision == "mixed_float16":
        values["training/loss_scale"] = run.state.loss_scale
        values["training/skipped_steps"] = run.state.skipped_steps
    if timer.known:
        seconds_a_step = result.seconds / len(result.losses)
        values["speed/images_per_second"] = run.config.train.batch_size / seconds_a_step
        values["speed/step_milliseconds"] = 1000 * seconds_a_step
        values["speed/input_wait"] = result.wait_seconds / result.seconds
        if slowest := timer.slowest:
            values["speed/slowest_worker"] = slowest.worker
            values["speed/slowest_input_wait"] = slowest.wait
            values["speed/slowest_loop_seconds"] = slowest.seconds
    return values


def of_speed(run: Run) -> Values:
    """Returns the most memory that each kind of device has used, and where the time went so far."""
    peaks = memory.peak_gib(run.replicas.devices)
    values: Values = {f"speed/{name}_memory_gib": peak for name, peak in peaks.items()}
    values |= {f"speed/share_of_{name}": run.speed.share(name) for name in PURPOSES}
    values |= {f"speed/{name}": value for name, value in run.speed.steps.items() if name in STEPS}
    return values | {"speed/mfu": run.speed.mfu}


def of_checkpoint(seconds: float) -> Values:
    """Returns how long it took to write a checkpoint."""
    return {"speed/checkpoint_seconds": seconds}
