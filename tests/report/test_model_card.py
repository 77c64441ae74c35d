"""The card of a run says what its files say, the shortcut first."""

import json
import re

import pytest
import yaml

from trainer import replay
from trainer.replay import Replay
from trainer.report import claim, model_card


def card(run) -> tuple[dict, str]:
    """Returns the head and the text of the card of a run."""
    text = model_card.write(run.folder).read_text()
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


@pytest.fixture
def data(run):
    """Adds what a card needs to the config and data of a run."""
    run.change("config.json", data={"image_size": 96, "path": "DATA"}, model={"channels": 1})
    run.change("data_summary.json", max_side=512, left_out=[])
    return run


def relation(low: float) -> dict:
    auc = {"value": low + 0.05, "low": low, "high": low + 0.1}
    found = {"label": "PNEUMONIA", "traces": "JPEG quantisation tables", "transfer": auc}
    return found | {"train": auc, "test": auc, "holds": True, "typical": {}}


@pytest.fixture
def audited(data):
    """Adds an audit with a shortcut whose interval begins at a value."""

    def audited(low: float):
        findings = [{"severity": "danger", "about": "shortcuts", "title": "tables | tell"}]
        verdict = {"severity": "danger", "sentence": "Do not trust results."}
        shortcuts = {"relations": [relation(low)], "too_few": []}
        audit = {"verdict": verdict, "findings": findings, "shortcuts": shortcuts}
        data.write_json("audit.json", audit | {"prepared": False})
        return data

    return audited


def test_every_figure_of_the_test_split_is_in_the_head_and_in_the_text(data):
    head, body = card(data)
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert model["name"] == "tiny_run" and result["dataset"]["name"] == "Some hospital"
    found = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert found["PNEUMONIA, auc"] == 0.974
    assert found["PNEUMONIA, chosen on validation, sensitivity"] == 0.882
    assert "| PNEUMONIA, auc | 0.974 (0.954 to 0.994) |" in body
    assert "| train | 4,684 | 3,287 | PNEUMONIA | 3,476 | 1,208 | 0 |" in body
    assert "git checkout abc1234\npython -m trainer.task --config=configs/tiny.py" in body


@pytest.mark.parametrize("low", [0.49, 0.7])
def test_a_shortcut_above_chance_is_named_in_the_first_lines(audited, low: float):
    _, body = card(audited(low))
    first = "\n".join(body.splitlines()[:6])
    assert ("A shortcut predicts the label" in first) == (low > 0.5)
    assert "- danger: tables \\| tell" in body and "Audit of the data: tables" in body


def test_without_an_audit_that_is_said_in_the_first_lines(data):
    assert "The data were not audited" in "\n".join(card(data)[1].splitlines()[:6])


def test_other_data_sets_and_the_last_replay_are_in_the_card(data):
    _, body = card(data)
    assert "has not been replayed" in body and "on no other data set" in body
    assert "| 33 | testing on external data | unmet |" in body
    data.write_json("evaluation/other.json", data.read("evaluation/test.json") | {"images": 7})
    replay.record(data.folder, Replay(1, 2, "9 variables", [], []))
    _, body = card(data)
    assert "### other: 7 images of 250 patients" in body
    assert re.search(r"The last replay, [\d-]+: steps 1 to 2 give the same weights bit", body)
    assert "| 33 | testing on external data | met | Later evaluations |" in body


def test_the_checklist_has_each_item_and_names_only_sections_that_there_are(data):
    _, body = card(data)
    items = claim.checklist({})
    assert [item.number for item in items] == [*range(1, 45)]
    for item in items:
        if item.status == claim.MET and item.where != "title":
            assert f"\n## {item.where}\n" in body, item


def test_the_metadata_are_those_of_a_bundle(data):
    card(data)
    metadata = json.loads((data.folder / model_card.METADATA).read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == [96, 96] and image["num_channels"] == 1
    prediction = metadata["network_data_format"]["outputs"]["pred"]
    assert prediction["channel_def"] == {"0": "PNEUMONIA"}
    assert metadata["eval_metrics"]["PNEUMONIA, auc"] == 0.974


def test_several_labels_have_their_figures_each(data):
    data.use_labels(["Edema", "Mass"])
    _, body = card(data)
    assert "| Edema, auc |" in body and "| Mass, chosen on validation, specificity |" in body
