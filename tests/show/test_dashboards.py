"""TensorBoard opens with the layout of the charts, and compares runs by their config."""

import re

import pytest
from etils import epath
from ml_collections import ConfigDict
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from trainer import models
from trainer.config import schema
from trainer.config.fields import FIELDS
from trainer.show import dashboards
from trainer.show.curves import CURVES, of_metrics
from trainer.show.tensorboard import trial_name


def test_the_layout_pairs_sensitivity_with_specificity():
    (value,) = Summary.FromString(dashboards.layout()).value
    layout = layout_pb2.Layout.FromString(value.tensor.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert list(charts)[:4] == ["loss", "AUC", "accuracy", "sensitivity with specificity"]
    paired = ["^metrics/sensitivity$", "^metrics/specificity$"]
    assert charts["sensitivity with specificity"] == paired
    first = [pattern for patterns in charts.values() for pattern in patterns]
    written = of_metrics(dict.fromkeys(CURVES, 0.5))
    for pattern in first:  # each draws a curve that there is
        assert [tag for tag in written if re.search(pattern, tag)], pattern


def test_runs_compare_by_the_fields_that_change_their_numbers():
    fields = schema.default()
    fields.optimizer.learning_rate = 0.25
    fields.augment.horizontal_flip, fields.augment.zoom_range = True, 0.2
    experiment, session = (
        plugin_data_pb2.HParamsPluginData.FromString(
            Summary.FromString(summary).value[0].metadata.plugin_data.content
        )
        for summary in dashboards.hyperparameters(fields, "runs/first")
    )
    given = session.session_start_info.hparams
    assert session.session_start_info.group_name == "runs/first"
    by_name = sorted(experiment.experiment.hparam_infos, key=lambda info: info.name)
    assert [info.display_name for info in by_name][:4] == [
        "model.name",
        "optimizer.learning_rate",
        "train.batch_size",
        "augment",
    ]
    assert given["3 augment"].string_value == "horizontal_flip, zoom 0.2"
    assert given["1 optimizer.learning_rate"].number_value == 0.25
    assert "data.path" not in given and "checkpoint.keep" not in given
    assert {info.name for info in experiment.experiment.hparam_infos} == set(given)
    # Of the run that holds the hyperparameters: HParams finds no others.
    compared = {m.name.tag: m.name.group for m in experiment.experiment.metric_infos}
    written = dict.fromkeys(CURVES, 0.5)
    assert compared == dict.fromkeys((*of_metrics(written), *dashboards.compared(written)), "")


def test_every_field_of_the_config_has_its_meaning_those_that_are_set_first():
    fields = schema.default()
    fields.train.epochs = 7
    text = dashboards.config_text(fields)
    for path, field in FIELDS.items():
        value = 7 if path == "train.epochs" else field.default
        assert f"| {path} | {value} | {field.meaning} |" in text
    assert text.index("| train.epochs |") < text.index("defaults") < text.index("| train.ema |")


@pytest.mark.parametrize("name", ["article", "resnet"])
def test_the_graph_opens_on_the_layers(tiny: ConfigDict, name: str):
    tiny.model.name = name
    model = models.build(tiny.model, 64)
    nodes = dashboards.graph(model).node
    assert [node.name for node in nodes][-1] == model.layers[-1].name
    assert not nodes[0].input and all(node.input for node in nodes[1:])
    assert not [node for node in nodes if "/" in node.name]  # a slash makes a closed box
    merged = [node for node in nodes if node.op == "Add"]
    assert all(len(node.input) == 2 for node in merged) and bool(merged) == (name == "resnet")
    (shape,) = nodes[-1].attr["_output_shapes"].list.shape
    assert [side.size for side in shape.dim] == [-1, 1]


def test_a_trial_is_named_by_its_run():
    for folder in ("/data/runs/first", "gs://bucket/runs/first", "runs/first"):
        assert trial_name(epath.Path(folder)) == "runs/first"
    assert trial_name(epath.Path("first")) == "first"


@pytest.mark.parametrize("commit", ["abc1234", None])
def test_environment_and_data_become_tables(commit: str | None):
    environment = {
        "command": "python -m trainer.task",
        "git_commit": commit,
        "started": "2026-11-22",
        "devices": ["CPU:0", "CPU:1"],
        "onednn": False,
        "instructions": ["avx", "avx2"],
        "versions": {"keras": "3.15.1"},
    }
    text = dashboards.environment_text(environment)
    assert "| devices | CPU:0, CPU:1 |" in text and "| keras | 3.15.1 |" in text
    assert "| processor | avx avx2 without oneDNN |" in text
    assert f"| git commit | {commit or 'not recorded'} |" in text
    counts = {"positive": 3, "negative": 4, "unknown": 0}
    split = {"images": 7, "patients": 5, "per_label": {"sick": counts}}
    data = {"source": "set.zip", "labels": ["sick"], "splits": {"train": split, "test": split}}
    assert "| sick: positive | 3 | 3 |" in dashboards.data_text(data)
