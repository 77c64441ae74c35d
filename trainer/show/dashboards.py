"""TensorBoard's dashboards beside curves and pictures: chart layout, hyperparameters, texts."""

from collections.abc import Iterable, Mapping, Sequence

from ml_collections import ConfigDict
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import summary_v2 as hparams

from trainer.config import schema
from trainer.config.fields import CHANGEABLE, FIELDS

LAYOUT = {
    "Learning": {
        "loss": ["loss"],
        "accuracy": ["accuracy"],
        "AUC": ["auc"],
        "sensitivity with specificity": ["sensitivity", "specificity"],
        "average precision": ["average_precision"],
    },
    "Training": {
        "learning rate": ["training/learning_rate"],
        "gradient norm": ["training/gradient_norm"],
        "update to weight": ["training/update_ratio"],
    },
    "Speed": {
        "images a second": ["speed/images_per_second"],
        "share of time waiting for input": ["speed/input_wait", "speed/slowest_input_wait"],
        "memory, GiB": ["speed/device_memory_gib", "speed/host_memory_gib"],
    },
}
COMPARED = ("auc", "average_precision", "accuracy", "sensitivity", "specificity", "loss")


def layout() -> bytes:
    """Returns a Summary with the layout of the Custom Scalars dashboard."""
    categories = [
        layout_pb2.Category(
            title=title,
            chart=[
                layout_pb2.Chart(
                    title=name,
                    multiline=layout_pb2.MultilineChartContent(tag=[f"^{tag}$" for tag in tags]),
                )
                for name, tags in charts.items()
            ],
        )
        for title, charts in LAYOUT.items()
    ]
    return custom_scalar.pb(layout_pb2.Layout(category=categories)).SerializeToString()


def hyperparameters(config: ConfigDict) -> list[bytes]:
    """Returns Summaries for the HParams plugin: the compared metrics, and the fields of this run.

    Fields that change no number of a run are left out.
    """
    fields = schema.fields(config)
    values = {path: v for path, v in fields if path not in CHANGEABLE}
    metrics = [
        hparams.Metric(tag, group=part, display_name=f"{part} {tag.replace('_', ' ')}")
        for part in ("validation", "test")
        for tag in COMPARED
    ]
    experiment = hparams.hparams_config_pb([hparams.HParam(path) for path in values], metrics)
    session = hparams.hparams_pb(values, start_time_secs=None)
    return [experiment.SerializeToString(), session.SerializeToString()]


def config_text(config: ConfigDict) -> str:
    """Returns every field as a Markdown table."""
    rows = [
        (f"`{path}`", f"`{value}`", FIELDS[path].meaning) for path, value in schema.fields(config)
    ]
    return _table(("field", "value", "what it is"), rows)


def environment_text(environment: Mapping) -> str:
    """Returns `environment.json` as a Markdown table."""
    rows = [
        ("command", f"`{environment['command']}`"),
        ("git commit", environment["git_commit"] or "not recorded"),
        ("started", environment["started"]),
        ("devices", ", ".join(environment["devices"])),
        *environment["versions"].items(),
    ]
    return _table(("what", "value"), rows)


def data_text(summary: Mapping) -> str:
    """Returns the counts of `data_summary.json` as a Markdown table."""
    splits = summary["splits"]
    rows = [(kind, *(split[kind] for split in splits.values())) for kind in ("images", "patients")]
    rows += [
        (f"{label}: {value}", *(split["per_label"][label][value] for split in splits.values()))
        for label in summary["labels"]
        for value in ("positive", "negative", "unknown")
    ]
    return f"Source: `{summary['source']}`\n\n" + _table(("", *splits), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
