"""Files are answered as `radiograph predict` answers them, whatever their format."""

import base64
import dataclasses
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from trainer.data import data_split, dataset
from trainer.data.synthetic import phantom
from trainer.judge import input_files
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Gate
from trainer.judge.prediction import Predictor
from trainer.metrics.conformal import ConformalSets
from trainer.serve.application import PARAMETERS, Service

COVERAGE = 0.9


def dicom(pixels: np.ndarray) -> bytes:
    """A radiograph of 12 bits, dark on bright."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    image.Modality, image.PatientName, image.PatientID = "DX", "Doe^Jane", "MRN 7"
    wide = (4095 - pixels.astype(np.uint16) * 16).astype(np.uint16)
    image.set_pixel_data(wide, "MONOCHROME1", bits_stored=12, generate_instance_uid=False)
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Radiographs of several formats, some that an export's graph refuses, and no radiograph."""
    (_, jpeg), (_, other) = phantom.archive(2)
    image, found = Image.open(io.BytesIO(other)), {"a.jpeg": jpeg}
    for name, options in (("b.png", {}), ("c.tiff", {})):
        content = io.BytesIO()
        image.save(content, name.rpartition(".")[2], **options)
        found[name] = content.getvalue()
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image.save(turned, "JPEG", exif=exif)
    return found | {
        "d.jpeg": turned.getvalue(),
        "Doe^Jane.dcm": dicom(np.asarray(image)),
        "notes.txt": b"no image",
    }


@pytest.fixture(scope="module")
def predicted(
    files: dict[str, bytes], served_run: Ensemble, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict]:
    """The rows of `radiograph predict`."""
    folder = tmp_path_factory.mktemp("files")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    validation = served_run.validation_scores()
    assert validation is not None
    predictor = Predictor(
        served_run,
        gate=Gate.load(served_run.workdirs[0]),
        sets=ConformalSets.calibrate(validation, COVERAGE),
    )
    fits = [(each.image_size, each.mode) for each in served_run.fits]
    inputs = input_files.InputFiles([str(folder / name) for name in files])
    decoded = input_files.decode_all(inputs, served_run.decoding, fits, workers=1)
    return {Path(str(row["path"])).name: row for rows in predictor.rows(decoded) for row in rows}


def test_row_of_each_format_is_that_of_predict(
    client: httpx.Client, files: dict[str, bytes], predicted: dict[str, dict]
):
    sent = [("file", (name, data)) for name, data in files.items()]
    response = client.post(f"/v1/radiographs?coverage={COVERAGE}", files=sent)
    assert response.status_code == 200, response.text
    rows = response.json()["radiographs"]
    assert [row["name"] for row in rows] == list(files)
    for row in rows:
        wanted = predicted[row["name"]]
        if wanted["refused"]:
            assert row["refused"] == {"group": wanted["refused"], "reason": wanted["reason"]}
            assert row["labels"] is None
            continue
        (label,) = row["labels"]
        assert label["probability"] == pytest.approx(wanted["probability PNEUMONIA"], abs=1e-5)
        assert label["calibrated"] == pytest.approx(wanted["calibrated PNEUMONIA"], abs=1e-5)
        assert row["decision"] == wanted["decision"] == label["class"]
        assert row["set"] == wanted["set"].split("|")
        assert (row["flagged"] or {"check": None})["check"] == wanted["check"]
    assert sum(row["refused"] is not None for row in rows) == 1


def test_radiograph_and_heat_come_back_in_the_same_shape(
    client: httpx.Client, files: dict[str, bytes]
):
    sent = {"file": ("a", files["Doe^Jane.dcm"])}
    (row,) = client.post("/v1/radiographs?heat=1&image=1", files=sent).json()["radiographs"]
    image, heat = (
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in (row["image"], row["heat"]["PNEUMONIA"])
    )
    assert image.mode == "L" and heat.mode == "RGBA" and image.size == heat.size
    assert row["size"] == [image.height, image.width]
    assert len(np.unique(np.asarray(heat)[..., 3])) > 2  # clear, and more or less covered


def test_single_file_that_cannot_be_read_is_422_with_the_reason(client: httpx.Client):
    response = client.post("/v1/radiographs", files={"file": ("x", b"no image")})
    assert response.status_code == 422
    assert response.json()["error"].startswith("The file cannot be used as a radiograph: ")


def test_facts_are_what_a_page_needs(client: httpx.Client):
    facts = client.get("/v1/radiographs").json()
    assert facts["model"] == "lungs" and facts["classes"] == ["NORMAL", "PNEUMONIA"]
    assert facts["gate"] and facts["heat"] and not facts["token"] and 0.9 in facts["coverages"]


def test_similar_training_images_come_only_to_who_asks(client, phantoms: epath.Path):
    split = data_split.open_split(phantoms, "train")
    parsed = tf.io.parse_example(split.read(np.arange(2)), dataset.stored_features(1))
    sent = [("file", ("a", file)) for file in parsed["image"].numpy()]
    assert client.get("/v1/radiographs").json()["similar"] is True
    rows = client.post("/v1/radiographs?similar=3", files=sent).json()["radiographs"]
    for row, (label,) in zip(rows, parsed["labels"].numpy(), strict=True):
        first, *others = row["similar"]
        assert first["labels"] == [split.classes[label]] and first["unknown"] == []
        assert first["distance"] < 2e-3 <= others[0]["distance"] <= others[1]["distance"] <= 2
        assert Image.open(io.BytesIO(base64.b64decode(first["picture"]))).format == "JPEG"
    (row, _) = client.post("/v1/radiographs", files=sent).json()["radiographs"]
    assert row["similar"] is None


def test_export_without_training_images_says_so(
    client, service: Service, monkeypatch: pytest.MonkeyPatch
):
    network = service.radiographs.network
    monkeypatch.setattr(network, "exported", dataclasses.replace(network.exported, similar=None))
    assert client.get("/v1/radiographs").json()["similar"] is False
    response = client.post("/v1/radiographs?similar=3", files={"file": ("x", b"no image")})
    assert response.status_code == 400
    assert response.json()["error"].startswith("The export has no training images")


def test_every_parameter_is_described(client: httpx.Client):
    described = client.get("/openapi.json").json()["paths"]["/v1/radiographs"]["post"]
    assert {each["name"] for each in described["parameters"]} == set(PARAMETERS)


@pytest.mark.parametrize(
    "query",
    ["coverage=2", "heat=perhaps", "haet=1", "similar=0", "similar=21", "similar=x", "similar="],
)
def test_wrong_parameter_is_400_that_names_it(client: httpx.Client, query: str):
    response = client.post(f"/v1/radiographs?{query}", files={"file": ("x", b"no image")})
    assert response.status_code == 400
    assert response.json()["error"].startswith(query.partition("=")[0])
