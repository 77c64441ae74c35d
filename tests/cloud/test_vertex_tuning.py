"""A sweep becomes what Vertex AI tunes, and what Vertex AI starts a trial with is understood."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import StudySpec
from google.protobuf import json_format

from tests.cloud import discovery
from trainer.cloud import vertex_tuning
from trainer.tuning import search_space
from trainer.tuning.search_space import choice, integer, log_uniform, uniform

ROOT = Path(__file__).parents[2]
SWEEP = {
    "optimizer.learning_rate": log_uniform(1e-4, 1e-2),
    "model.dropout": uniform(0.0, 0.5),
    "model.blocks": integer(1, 3),
    "train.batch_size": choice(16, 32),
    "augment.gamma_range": choice(0.0, 0.3),
    "augment.horizontal_flip": choice(True, False),
    "loss.class_weights": choice("none", "balanced"),
}
# Parses the flags of trainer.task, and prints what they override.
PARSED = """
import json, sys
from trainer import task
from trainer.commands import config_flags
assert config_flags.parse(sys.argv)[1:] == []
print(json.dumps(config_flags.overrides()))
"""


@pytest.mark.parametrize(
    "sweep",
    [SWEEP, *(search_space.read(ROOT / "configs" / f"{name}.py") for name in ("demo", "resnet"))],
)
def test_study_is_valid(sweep: search_space.Sweep):
    study = vertex_tuning.study(sweep)
    parsed = StudySpec.pb(StudySpec())
    json_format.ParseDict(study, parsed)  # refuses unknown fields and names
    assert [parameter.parameter_id for parameter in parsed.parameters] == [
        f"config.{path}" for path in sorted(sweep)
    ]
    assert all(parameter.WhichOneof("parameter_value_spec") for parameter in parsed.parameters)
    assert discovery.errors(study, "aiplatform", "v1", "GoogleCloudAiplatformV1StudySpec") == []


def test_wrong_value_would_be_found():
    study = vertex_tuning.study(SWEEP)
    study["parameters"][0]["scaleType"] = "LOG"
    with pytest.raises(json_format.ParseError, match="LOG"):
        json_format.ParseDict(study, StudySpec.pb(StudySpec()))
    assert discovery.errors(study, "aiplatform", "v1", "GoogleCloudAiplatformV1StudySpec")


def test_the_last_validation_auc_that_a_trial_reports_is_maximised():
    study = vertex_tuning.study(SWEEP)
    assert study["metrics"] == [{"metricId": "validation_auc", "goal": "MAXIMIZE"}]
    selection = StudySpec.MeasurementSelectionType[study["measurementSelectionType"]]
    assert selection.name == "LAST_MEASUREMENT"


def test_each_range_keeps_its_ends_and_its_scale():
    parameters = {
        p.pop("parameterId").removeprefix("config."): p
        for p in vertex_tuning.study(SWEEP)["parameters"]
    }
    assert parameters["optimizer.learning_rate"] == {
        "doubleValueSpec": {"minValue": 1e-4, "maxValue": 1e-2},
        "scaleType": "UNIT_LOG_SCALE",
    }
    assert parameters["model.dropout"]["scaleType"] == "UNIT_LINEAR_SCALE"
    assert parameters["model.blocks"]["integerValueSpec"] == {"minValue": "1", "maxValue": "3"}
    assert parameters["train.batch_size"] == {"categoricalValueSpec": {"values": ["16", "32"]}}
    assert parameters["augment.horizontal_flip"] == {
        "categoricalValueSpec": {"values": ["true", "false"]}
    }


@pytest.mark.parametrize("separator", ["=", " "])
def test_the_flags_of_a_trial_are_the_tasks_own(separator: str):
    given = []
    for parameter in vertex_tuning.study(SWEEP)["parameters"]:
        (kind,) = (key for key in parameter if key.endswith("ValueSpec"))
        values = parameter[kind]
        # A double may come with all its digits, or with an exponent.
        value = "3.3e-04" if "rate" in parameter["parameterId"] else values.get("maxValue")
        value = value if "values" not in values else values["values"][-1]
        if value != "false" or separator == "=":
            given += f"--{parameter['parameterId']}{separator}{value}".split(" ")
    command = [sys.executable, "-c", PARSED, "--config=configs/demo.py", "--workdir=run", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    expected = {
        "optimizer.learning_rate": 3.3e-4,
        "model.dropout": 0.5,
        "model.blocks": 3,
        "train.batch_size": 32,
        "augment.gamma_range": 0.3,
        "loss.class_weights": "balanced",
    }
    if separator == "=":
        expected["augment.horizontal_flip"] = False
    assert json.loads(done.stdout) == expected
