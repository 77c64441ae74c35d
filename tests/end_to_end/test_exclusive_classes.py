"""From three class folders to a report of classes that exclude one another."""

import asyncio
import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from markupsafe import escape
from ml_collections import ConfigDict

from trainer import train
from trainer.config.schema import default
from trainer.data import sources
from trainer.data.prepare import preparation
from trainer.data.synthetic import phantom
from trainer.export import export_folder
from trainer.export.exported import Exported
from trainer.judge.ensemble import Ensemble
from trainer.metrics import evaluation_files
from trainer.report import image_page
from trainer.serve import server
from trainer.serve.application import Service
from trainer.serve.multipart import Part
from trainer.serve.radiographs import Wanted

CLASSES = ["NORMAL", "<b>virus", 'a"bacteria']  # as hostile as names of folders can be


def class_of(name: str) -> str:
    kinds = zip(("virus", "bacteria"), CLASSES[1:], strict=True)
    return next((label for word, label in kinds if word in name), CLASSES[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_class_folders_become_a_report_of_exclusive_classes(
    new_tiny: Callable[[], ConfigDict], tmp_path: Path, capsys: pytest.CaptureFixture
):
    images = dict(phantom.archive(80))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, jpeg in images.items():
            archive.writestr(f"{class_of(name)}/{Path(name).name}", jpeg)
    source = sources.open_source(str(tmp_path / "set.zip"))
    summary = preparation.prepare(source, tmp_path / "data", max_side=64, uniform=True)
    assert summary["exclusive"] and summary["labels"] == CLASSES

    config = new_tiny()
    config.data.path, config.train.batch_size = str(tmp_path / "data"), 16
    config.train.epochs, config.summaries.times = 1, 1
    config.augment, config.model.stages = default().augment, 1  # which take long to compile
    result = train.train_and_evaluate(config, tmp_path / "run")
    assert "likeliest class" in capsys.readouterr().out
    assert np.sum(result["confusion"]) == result["images"]
    assert result["accuracy"]["value"] == np.trace(result["confusion"]) / result["images"]
    assert len({label["calibration"]["temperature"] for label in result["labels"].values()}) == 1
    found = evaluation_files.read_label_results(tmp_path / "run", "test")
    for probability in ("probability", "calibrated"):
        total = sum(getattr(label, probability) for label in found)
        np.testing.assert_allclose(total, 1, atol=1e-6)
    (*_, epoch) = json.loads((tmp_path / "run/history.json").read_text())
    assert 0.5 < epoch["train"]["loss"] < 3 and 0 < epoch["validation"]["accuracy"] < 1

    page = (tmp_path / "run/report.html").read_text()
    assert f"Chest radiographs, {escape(' or '.join(CLASSES))}" in page
    assert "<b>virus" not in page
    assert "Confusion of the classes, test" in page and "Always “" in page
    pictures = tmp_path / "run/pictures/test"
    assert (pictures / "confusion.png").exists() and len(list(pictures.glob("*virus/roc.png"))) == 1

    (tmp_path / "one.jpeg").write_bytes(next(iter(images.values())))
    (seen,) = image_page.write(tmp_path / "run", [tmp_path / "one.jpeg"]).pages
    assert "The classes exclude one another" in seen.read_text()

    jpeg, network = next(iter(images.values())), Ensemble.load([tmp_path / "run"])
    out = epath.Path(tmp_path / "export")
    rows = export_folder.export(network, ["saved_model", "keras"], out, data=tmp_path / "data")
    for row in rows.values():
        assert row.largest < 1e-5 and not row.decisions_changed
    square = network.fitted_images(network.members[0].stored_image(jpeg))[0]
    (expected,) = network.probabilities(network.logits((square[np.newaxis],)))
    served = server.service(Exported.open(out), "lungs", server.Options(batch=1))
    out.rmtree()  # a server needs none of it any more
    row, prediction = asyncio.run(answers(served, jpeg))
    given = [label["probability"] for label in row["labels"]]
    np.testing.assert_allclose(given, expected, atol=1e-5)
    np.testing.assert_allclose(prediction["probability"], expected, atol=1e-5)
    assert row["decision"] == CLASSES[int(np.argmax(expected))] and row["set"] is not None
    assert prediction["decision"] == [label["decision"] for label in row["labels"]]
    assert sum(prediction["decision"]) == 1
    assert all(label["threshold"] is None for label in row["labels"])


async def answers(served: Service, jpeg: bytes) -> tuple[dict, dict]:
    """Returns the row of a file, and its prediction by TensorFlow Serving's contract."""
    working = asyncio.create_task(served.batcher.work())
    try:
        found = await served.radiographs.answer([Part("a.jpeg", jpeg)], Wanted(coverage=0.5))
        body = {"instances": [{"b64": base64.b64encode(jpeg).decode()}]}
        predicted = await served.contract.answer(
            "POST", "/v1/models/lungs:predict", json.dumps(body).encode()
        )
    finally:
        working.cancel()
        served.radiographs.decoders.close()
    return found["radiographs"][0], predicted["predictions"][0]
