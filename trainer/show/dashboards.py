"""TensorBoard's dashboards beside curves and pictures: chart layout, hyperparameters, texts."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import keras
import tensorflow as tf
from ml_collections import ConfigDict
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import summary_v2 as hparams

from trainer.config import schema
from trainer.config.fields import CHANGEABLE, FIELDS
from trainer.system.environment import arithmetic

LAYOUT = {
    "What matters": {
        "loss": ["metrics/loss"],
        "AUC": ["metrics/auc"],
        "accuracy": ["metrics/accuracy"],
        "sensitivity with specificity": ["metrics/sensitivity", "metrics/specificity"],
        "average precision": ["metrics/average_precision"],
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
# HParams finds metrics in the run that holds the hyperparameters and in those below it alone, and
# a run above the parts would be shown as one more.
COMPARED_RUN = "validation"
TEST_GROUP = "test_of_kept_epoch"
AUGMENTATION = "augment"
FIRST = ("model.name", "optimizer.learning_rate", "train.batch_size", AUGMENTATION, "train.epochs")


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


def graph(model: keras.Model) -> tf.compat.v1.GraphDef:
    """Returns the network's layers with the shapes between them, as a graph to write.

    TensorBoard's own conceptual graph is not shown until it is asked for, and that of operations is
    one closed box.
    """
    drawn = tf.compat.v1.GraphDef()
    for layer in keras.Model(model.inputs, model.outputs).operations:
        is_input = isinstance(layer, keras.layers.InputLayer)
        tensors = [] if is_input else keras.tree.flatten(layer.input)
        node = drawn.node.add(name=layer.name, op=type(layer).__name__)
        node.input.extend(tensor._keras_history.operation.name for tensor in tensors)
        shape = tf.TensorShape(layer.output.shape).as_proto()
        node.attr["_output_shapes"].list.shape.append(shape)
    return drawn


def hyperparameters(config: ConfigDict, trial: str) -> list[bytes]:
    """Returns Summaries for the HParams plugin: the compared metrics, and the fields of this run.

    They belong to the part `COMPARED_RUN`. The first five fields are those that are shown unasked;
    those that change no number of a run are left out.

    Args:
      config: of the run.
      trial: the run's name.
    """
    fields = dict(schema.fields(config))
    values = {AUGMENTATION: _augmentation(config)}
    values |= {path: value for path, value in fields.items() if path not in CHANGEABLE}
    # TensorBoard sorts them by names, of which it shows those for people.
    names = {path: f"{number} {path}" for number, path in enumerate(FIRST)}
    infos = [hparams.HParam(names.get(path, path), display_name=path) for path in values]
    metrics = [
        hparams.Metric(f"{group}/{name}", display_name=f"{part} {name.replace('_', ' ')}")
        for part, group in (("validation", "metrics"), ("test", TEST_GROUP))
        for name in COMPARED
    ]
    experiment = hparams.hparams_config_pb(infos, metrics)
    values = {names.get(path, path): value for path, value in values.items()}
    session = hparams.hparams_pb(values, trial_id=trial, start_time_secs=None)
    return [experiment.SerializeToString(), session.SerializeToString()]


def compared(measured: Mapping) -> dict[str, float | None]:
    """Returns the test metrics that HParams compares, by tag of the part `COMPARED_RUN`."""
    return {f"{TEST_GROUP}/{name}": measured[name] for name in COMPARED}


def _augmentation(config: ConfigDict) -> str:
    """Returns the augmentation that is on, in words."""
    defaults = schema.default().augment
    return (
        ", ".join(
            name if value is True else f"{name.removesuffix('_range')} {value}"
            for name, value in sorted(config.augment.items())
            if value and value != defaults[name] and name != "jit_compile"
        )
        or "none"
    )


def config_text(config: ConfigDict) -> str:
    """Returns the fields as two Markdown tables: what this run sets, and what it leaves alone."""
    fields = list(schema.fields(config))
    chosen = [path for path, value in fields if value != FIELDS[path].default]

    def table(paths: Collection[str]) -> str:
        rows = [(p, value, FIELDS[p].meaning) for p, value in fields if p in paths]
        return _table(("field", "value", "what it is"), rows)

    rest = FIELDS.keys() - set(chosen)
    return f"{table(chosen)}\n\nAll other fields have their defaults:\n\n{table(rest)}"


def environment_text(environment: Mapping) -> str:
    """Returns `environment.json` as a Markdown table."""
    rows = [
        ("command", f"`{environment['command']}`"),
        ("git commit", environment["git_commit"] or "not recorded"),
        ("started", environment["started"]),
        ("devices", ", ".join(environment["devices"])),
        ("processor", arithmetic(environment) or "not recorded"),
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
