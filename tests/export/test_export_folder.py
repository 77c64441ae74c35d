"""An export says what the run says, for those who do not have this package, or is not written."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from etils import epath

from trainer.data import data_split, dataset, examples
from trainer.export import (
    destination,
    encodings,
    export_folder,
    formats,
    litert,
    onnx_model,
    parity,
    writers,
)
from trainer.export.exported import Exported
from trainer.export.similar_images import SimilarImages
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Gate
from trainer.metrics.conformal import ConformalSets
from trainer.models import attribution
from trainer.system.errors import UsageError

# What a program without this package does, in a process of its own.
CLIENT = """
import json, sys
import numpy as np
import keras
import tensorflow as tf
folder, files = sys.argv[1], sys.argv[2:]
serve = tf.saved_model.load(folder + "/saved_model/1").signatures["serving_default"]
found = serve(image_bytes=tf.constant([open(file, "rb").read() for file in files]))
network = keras.models.load_model(folder + "/model.keras")
assert "trainer" not in sys.modules
answer = {name: value.numpy().tolist() for name, value in found.items() if name != "label"}
print(json.dumps(answer | {"label": [name.decode() for name in found["label"].numpy()[0]]}))
"""


@pytest.fixture(scope="module")
def network(finished: epath.Path) -> Ensemble:
    return Ensemble.load([finished])


@pytest.fixture(scope="module")
def images(phantoms: epath.Path) -> list[bytes]:
    """Test images as they are stored."""
    split = data_split.open_split(phantoms, "test")
    features = dataset.stored_features(len(split.labels))
    return list(tf.io.parse_example(split.read(np.arange(6)), features)["image"].numpy())


@pytest.fixture(scope="module")
def expected(network: Ensemble, images: list[bytes]) -> parity.Files:
    return parity.Files.predict(network, images, np.zeros((len(images), 1)))


@pytest.fixture(scope="module")
def exported(
    network: Ensemble, phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[epath.Path, dict[str, parity.Parity]]:
    out = epath.Path(tmp_path_factory.mktemp("export")) / "out"
    return out, export_folder.export(network, list(formats.FILES), out, data=phantoms)


@pytest.fixture(scope="module")
def signatures(exported) -> dict:
    return tf.saved_model.load(str(exported[0] / "saved_model/1")).signatures


@pytest.mark.parametrize("kind", ["saved_model", "keras", "litert_float32", "onnx"])
def test_probabilities_are_those_of_predict_and_no_decision_changes(exported, kind: str):
    row = exported[1][kind]
    assert row.images > 0 and row.largest < 1e-5 and row.decisions_changed == 0
    written = json.loads((exported[0] / "parity.json").read_text())
    assert written[kind]["largest"] == row.largest


@pytest.mark.parametrize("kind", ["litert_float16", "litert_int8"])
def test_formats_of_fewer_bits_state_how_much_they_lose(exported, kind: str):
    row, full = exported[1][kind], exported[1]["litert_float32"]
    assert full.largest < row.largest < 0.05
    dataclasses.replace(row, decisions_changed=9, auc_difference=-0.4).check(kind, "float32")
    with pytest.raises(parity.NotAlike):
        dataclasses.replace(row, decisions_changed=9, largest=0.01).check("onnx", "float32")


@pytest.mark.parametrize("name", encodings.ENCODINGS)
def test_encoding_is_read_as_predict_does_or_is_refused_with_what_reads_it(exported, name: str):
    outcome = exported[1]["saved_model"].encodings[name]
    if outcome.largest is None:
        assert "radiograph predict" in outcome.refused
    else:
        assert outcome.largest < 1e-5


def test_formats_that_take_no_files_are_said_to_leave_decoding_to_their_clients(exported):
    note = encodings.without(exported[1])
    assert note.startswith("keras, litert_float32, litert_float16, litert_int8, onnx: from the ")
    assert note in (exported[0] / "model_card.md").read_text()
    assert not encodings.without({"saved_model": exported[1]["saved_model"]})


def test_onnx_and_litert_take_any_number_of_images(exported, expected):
    out, images = exported[0], expected.fitted[0]
    for run in (onnx_model.load(out / "model.onnx"), litert.load(out / "model_float32.tflite")):
        for count in (1, 5):
            found = run(fitted=images[:count])
            assert set(found) == {"probability", "calibrated"}
            np.testing.assert_allclose(
                found["probability"], expected.probability[:count], atol=1e-5
            )
    assert onnx.load(str(out / "model.onnx")).opset_import[0].version == onnx_model.OPSET


def test_export_is_one_folder_with_a_checksum_of_every_file(exported, finished: epath.Path):
    out = Path(exported[0])
    sums = json.loads((out / "checksums.json").read_text())
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
    assert files - {"checksums.json"} == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    metadata = json.loads((out / "metadata.json").read_text())
    assert metadata["labels"] == ["PNEUMONIA"] and metadata["classes"] == ["NORMAL", "PNEUMONIA"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_export_names_no_image_and_no_patient(exported, phantoms: epath.Path):
    words = set()
    for split in ("train", "validation", "test"):
        for identities in examples.identities(data_split.open_split(phantoms, split)):
            words |= {str(identity).encode() for identity in identities if len(str(identity)) > 5}
    assert words
    for file in (file for file in Path(exported[0]).rglob("*") if file.is_file()):
        content = file.read_bytes()
        assert not any(word in content for word in words), file


def test_export_holds_no_training_image_that_is_not_asked_for(exported, network, phantoms):
    assert Exported.open(exported[0]).similar is None
    metadata = json.loads((exported[0] / "metadata.json").read_text())
    assert metadata["similar"]["file"] is None and "--similar" in metadata["similar"]["reason"]
    assert "training images:" not in (exported[0] / "model_card.md").read_text()
    pictures = SimilarImages.draw(network, phantoms, 20).pictures
    for file in (file for file in Path(exported[0]).rglob("*") if file.is_file()):
        content = file.read_bytes()
        assert file.name != "similar.npz" and not any(one in content for one in pictures), file


def test_metadata_is_a_bundles_and_names_what_the_network_takes(exported, finished: epath.Path):
    metadata = json.loads((exported[0] / "metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["fitted"]
    assert image["num_channels"] == 1 and image["spatial_shape"] == [64, 64]
    assert image["dtype"] == "uint8" and image["value_range"] == [0, 255]
    assert metadata["eval_metrics"] and metadata["task"] and metadata["heat"]["layer"]
    card = (exported[0] / "model_card.md").read_text()
    assert card.startswith((finished / "model_card.md").read_text().rstrip())
    assert "| saved_model |" in card and "| keras |" in card


def test_signatures_agree_with_each_other_and_with_the_run(signatures, expected, images):
    files = signatures["serving_default"](image_bytes=tf.constant(images))
    fitted = signatures["fitted"](fitted=tf.constant(expected.fitted[0]))
    np.testing.assert_allclose(files["probability"], expected.probability, atol=1e-6)
    np.testing.assert_allclose(fitted["probability"], expected.probability, atol=1e-6)
    np.testing.assert_array_equal(files["decision"], expected.decisions)
    for number, data in enumerate(images[:2]):
        pixels = tf.io.decode_image(data, channels=1)[tf.newaxis]
        one = signatures["pixels"](pixels=pixels)["probability"]
        np.testing.assert_allclose(one[0], expected.probability[number], atol=1e-6)


def test_features_are_those_that_the_gate_of_the_run_takes(signatures, expected, network: Ensemble):
    found = signatures["features"](fitted=tf.constant(expected.fitted[0]))
    log_odds, features = network.logits_and_features(expected.fitted)
    np.testing.assert_allclose(found["features"], features, atol=1e-5)
    np.testing.assert_allclose(found["log_odds"], log_odds, atol=1e-5)
    np.testing.assert_allclose(found["probability"], expected.probability, atol=1e-6)


def test_evidence_is_grad_cam(signatures, expected, images, network: Ensemble):
    found = signatures["explain"](image_bytes=tf.constant(images[:3]))["evidence"][:, 0]
    member = network.members[0]
    inputs = member.inputs(expected.fitted[0][:3])
    (wanted,) = attribution.grad_cam(member.model, inputs, [0, 0, 0]).evidence.values()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * wanted.max())
    fitted = signatures["explain_fitted"](fitted=tf.constant(expected.fitted[0][:3]))
    np.testing.assert_allclose(fitted["evidence"][:, 0], found, atol=1e-4 * wanted.max())


@pytest.mark.slow
def test_export_answers_in_a_process_without_this_package(exported, expected, images, tmp_path):
    files = []
    for number, data in enumerate(images):
        files.append(str(tmp_path / str(number)))
        Path(files[-1]).write_bytes(data)
    command = [sys.executable, "-c", CLIENT, str(exported[0]), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(answer["probability"], expected.probability, atol=1e-6)
    assert answer["label"] == ["PNEUMONIA"]


def test_opened_export_has_the_gate_and_the_sets_of_its_run(exported, expected, network: Ensemble):
    opened = Exported.open(exported[0])
    gate = Gate.load(network.workdirs[0])
    assert gate is not None and opened.gate is not None and opened.gate.limits == gate.limits
    assert opened.saved_model.is_dir() and opened.metadata["gate"]["file"] == "gate.npz"
    logits, validation = network.logits(expected.fitted), network.validation_scores()
    assert opened.conformal is not None and validation is not None
    wanted = ConformalSets.calibrate(validation, 0.8)
    np.testing.assert_array_equal(opened.conformal.sets(0.8).sets(logits), wanted.sets(logits))


@pytest.mark.parametrize("change", ["changed", "missing", "no export"])
def test_folder_that_is_not_as_it_was_exported_is_not_opened(exported, tmp_path: Path, change: str):
    copy = Path(shutil.copytree(exported[0], tmp_path / "copy"))
    if change == "changed":
        (copy / "metadata.json").write_text("{}")
    else:
        (copy / ("gate.npz" if change == "missing" else "checksums.json")).unlink()
    with pytest.raises(UsageError, match={"changed": "not as it was"}.get(change, change)):
        Exported.open(copy)


def test_export_that_says_something_else_leaves_nothing(
    network: Ensemble, phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong = dataclasses.replace(network.members[0], model=_other_weights(network))
    other = dataclasses.replace(network, members=(wrong,))
    write = writers.write_keras
    monkeypatch.setitem(
        writers.WRITERS,
        "keras",
        lambda job, name: write(dataclasses.replace(job, ensemble=other), name),
    )
    with pytest.raises(parity.NotAlike) as refused:
        export_folder.export(network, ["keras"], epath.Path(tmp_path / "out"), data=phantoms)
    assert refused.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def _other_weights(network: Ensemble) -> tf.keras.Model:
    model = tf.keras.models.clone_model(network.members[0].model)
    model.set_weights(network.members[0].model.get_weights())
    last = model.layers[-1]
    last.set_weights([-weights for weights in last.get_weights()])
    return model


def test_folder_that_holds_something_is_refused_and_left_alone(network, phantoms, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError):
        export_folder.export(network, ["keras"], epath.Path(tmp_path), data=phantoms)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_export_fills_an_empty_folder_behind_a_link_and_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path / "here")
    for out in (tmp_path / "link", Path()):
        with destination.built_beside(epath.Path(out)) as built:
            (built / "a").write_text("b")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "a").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "here", "link"}
    assert (tmp_path / "here" / "a").exists()


def test_documented_client_gives_what_predict_gives(exported, expected, images, tmp_path: Path):
    """The code of docs/export.md, run in a folder with a file and an export."""
    (tmp_path / "EXPORT").symlink_to(exported[0])
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```python\n")]
    code = "\n".join(block for block in blocks if "onnxruntime" in block or "model.keras" in block)
    code = code.replace("EXPORT/", f"{tmp_path}/EXPORT/").replace("a.jpeg", f"{tmp_path}/a.jpeg")
    printed: list[np.ndarray] = []
    for number in (0, 3):
        (tmp_path / "a.jpeg").write_bytes(images[number])
        exec(code, {"print": printed.append})
        for found in printed[-3:]:  # ONNX, Keras and LiteRT in int8
            np.testing.assert_allclose(found, expected.probability[[number]], atol=0.02)
        np.testing.assert_allclose(printed[-3], expected.probability[[number]], atol=1e-5)
