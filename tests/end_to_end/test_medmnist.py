"""A file of MedMNIST is trained and tested on its own splits, by its own metrics."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, roc_auc_score

from trainer import train
from trainer.config import recipe
from trainer.data import sources
from trainer.data.prepare import preparation
from trainer.data.synthetic import phantom

RECIPE = Path(__file__).parents[2] / "configs/pneumoniamnist.py"
SIZES = {"train": 60, "val": 20, "test": 30}


def write_file(path: Path) -> None:
    """Writes phantoms as MedMNIST does: arrays of 28 x 28 pixels and of class numbers."""
    images, labels = [], []
    for name, jpeg in phantom.archive(sum(SIZES.values())):
        square = Image.open(io.BytesIO(jpeg)).convert("L").resize((28, 28))
        images.append(np.asarray(square))
        labels.append(["PNEUMONIA" in name])
    order = np.random.default_rng(0).permutation(len(images))
    arrays, start = {}, 0
    for split, size in SIZES.items():
        rows = order[start : start + size]
        arrays[f"{split}_images"] = np.stack(images)[rows]
        arrays[f"{split}_labels"] = np.array(labels, np.uint8)[rows]
        start += size
    np.savez(path, **arrays)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_figures_are_those_of_medmnist_on_its_own_test_split(tmp_path: Path):
    write_file(tmp_path / "pneumoniamnist.npz")
    source = sources.open_source(f"medmnist:{tmp_path / 'pneumoniamnist.npz'}")
    preparation.prepare(source, tmp_path / "data")
    config = recipe.read(str(RECIPE))
    small = {"data.path": str(tmp_path / "data"), "distribute.strategy": "one_device"}
    small |= {"augment.jit_compile": False, "profile.flops": False, "summaries.times": 0}
    small |= {"model.width": 4, "model.blocks": 1, "train.epochs": 1, "train.batch_size": 20}
    config.update_from_flattened_dict(small)
    result = train.train_and_evaluate(config, tmp_path / "run")

    with (tmp_path / "run/evaluation/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SIZES["test"] and len({row["name"] for row in rows}) == len(rows)
    truth = np.array([row["label"] for row in rows], float)
    score = np.array([row["score"] for row in rows], float)
    label = result["labels"]["pneumonia"]
    assert label["auc"]["value"] == pytest.approx(roc_auc_score(truth, score))
    at_half = next(point for point in label["operating_points"] if point["threshold"] == 0.5)
    assert at_half["accuracy"]["value"] == pytest.approx(accuracy_score(truth, score > 0.5))
    assert "ResNet-50 (224)" in (tmp_path / "run/report.html").read_text()
    summary = json.loads((tmp_path / "data/data_summary.json").read_text())
    counts = {name: split["images"] for name, split in summary["splits"].items()}
    assert counts == {"train": 60, "validation": 20, "test": 30}
