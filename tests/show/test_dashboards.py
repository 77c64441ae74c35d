"""TensorBoard opens with the layout of the charts, and compares runs by their config."""

import re

import pytest
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from trainer.config import schema
from trainer.config.fields import FIELDS
from trainer.show import dashboards
from trainer.show.tensorboard import CURVES


def test_the_layout_pairs_sensitivity_with_specificity():
    (value,) = Summary.FromString(dashboards.layout()).value
    layout = layout_pb2.Layout.FromString(value.tensor.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert list(charts)[:4] == ["loss", "accuracy", "AUC", "sensitivity with specificity"]
    assert charts["sensitivity with specificity"] == ["^sensitivity$", "^specificity$"]
    first = [pattern for patterns in charts.values() for pattern in patterns]
    for pattern in first:  # each draws a curve that there is
        assert [tag for tag in CURVES if re.search(pattern, tag)], pattern


def test_runs_compare_by_the_fields_that_change_their_numbers():
    fields = schema.default()
    fields.optimizer.learning_rate = 0.25
    experiment, session = (
        plugin_data_pb2.HParamsPluginData.FromString(
            Summary.FromString(summary).value[0].metadata.plugin_data.content
        )
        for summary in dashboards.hyperparameters(fields)
    )
    given = session.session_start_info.hparams
    assert given["optimizer.learning_rate"].number_value == 0.25
    assert "data.path" not in given and "checkpoint.keep" not in given
    assert {info.name for info in experiment.experiment.hparam_infos} == set(given)
    compared = {(m.name.group, m.name.tag) for m in experiment.experiment.metric_infos}
    assert {("validation", "auc"), ("test", "auc"), ("test", "specificity")} <= compared


def test_every_field_of_the_config_has_its_meaning():
    text = dashboards.config_text(schema.default())
    for path, field in FIELDS.items():
        assert f"| `{path}` | `{field.default}` | {field.meaning} |" in text


@pytest.mark.parametrize("commit", ["abc1234", None])
def test_environment_and_data_become_tables(commit: str | None):
    environment = {
        "command": "python -m trainer.task",
        "git_commit": commit,
        "started": "2026-11-22",
        "devices": ["CPU:0", "CPU:1"],
        "versions": {"keras": "3.15.1"},
    }
    text = dashboards.environment_text(environment)
    assert "| devices | CPU:0, CPU:1 |" in text and "| keras | 3.15.1 |" in text
    assert f"| git commit | {commit or 'not recorded'} |" in text
    counts = {"positive": 3, "negative": 4, "unknown": 0}
    split = {"images": 7, "patients": 5, "per_label": {"sick": counts}}
    data = {"source": "set.zip", "labels": ["sick"], "splits": {"train": split, "test": split}}
    assert "| sick: positive | 3 | 3 |" in dashboards.data_text(data)
