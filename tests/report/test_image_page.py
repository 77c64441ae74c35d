"""The page of one image: what the network predicts, why, and which files are refused."""

import json
import re

import keras
import numpy as np
import pytest
from etils import epath
from PIL import Image

from trainer import models
from trainer.checkpoint import checkpoint
from trainer.commands import report
from trainer.config.schema import default
from trainer.data.decode import dicom
from trainer.data.synthetic import phantom
from trainer.report import image_page
from trainer.system.errors import ExitError, UsageError
from trainer.training.trained_model import TrainedModel

SIDE = 48
STEP, EPOCH = 10, 2


def first(pages):
    return next(iter(pages))


def interval(value):
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def put(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def finish_run(run, labels=("PNEUMONIA",), thresholds=(0.0, 1.0), temperature=1.6, **model):
    """Writes a finished run of an untrained network; returns its work directory."""
    run = epath.Path(run)
    config = default()
    config.name, config.data.image_size = "tiny run", SIDE
    config.model.update({"width": 4, **model})
    put(run / "config.json", config.to_dict())
    counts = {label: {"positive": 30, "negative": 10, "unknown": 0} for label in labels}
    split = {"images": 4638, "patients": 3285, "per_label": counts}
    summary = {"source": "Some <hospital>", "synthetic": False, "max_side": 64}
    summary |= {"any_view": False, "uniform": False, "labels": list(labels)}
    summary["classes"] = ["NORMAL", *labels] if len(labels) == 1 else []
    put(run / "data_summary.json", summary | {"splits": {"train": split, "validation": split}})
    points = zip(("probability 0.5", "chosen on validation"), thresholds, strict=True)
    rates = {"sensitivity": interval(0.912), "specificity": interval(0.853)}
    label = {
        "operating_points": [{"name": name, "threshold": t, **rates} for name, t in points],
        "calibration": {"temperature": temperature},
    }
    evaluation = {"images": 310, "epoch": EPOCH, "step": STEP, "auc": interval(0.974)}
    put(run / "evaluation/test.json", evaluation | {"labels": dict.fromkeys(labels, label)})
    keras.utils.set_random_seed(0)
    network = models.build(config.model, SIDE, len(labels))
    # Not so untrained that nothing in it moves.
    rng = np.random.default_rng(0)
    arrays = {
        f"model/{v.path}": np.asarray(v) + 0.05 * rng.random(v.shape, np.float32)
        for v in network.variables
    }
    folder = checkpoint.path(run / "checkpoints", STEP, EPOCH)
    checkpoint.write(folder, arrays, {"step": STEP, "epoch": EPOCH})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with one label."""
    return finish_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three phantoms as files."""
    folder = tmp_path_factory.mktemp("files")
    written = []
    for number, (_, jpeg) in zip(range(3), phantom.archive(3), strict=False):
        written.append(folder / f"image {number}.jpeg")
        written[-1].write_bytes(jpeg)
    return written


@pytest.fixture(scope="module")
def page(run, files, read_page):
    """The page of an image."""
    return read_page(first(image_page.write(run, files[:1]).pages))


def probabilities(run, file):
    trained = TrainedModel.load(run)
    image = trained.fitted_image(trained.stored_image(file.read_bytes()))
    return trained.probabilities(image[None])[0]


def test_the_page_is_self_contained_and_shows_where_its_numbers_come_from(page):
    page.check()
    assert "synthetic" not in page.text
    assert "AUC on 310 test images is 0.974" in page.text
    assert "4,638 radiographs of Some <hospital>" in page.text


def test_it_shows_the_probability_its_calibration_and_the_predicted_class(page, run, files):
    probability = probabilities(run, files[0])[0]
    calibrated = 1 / (1 + (1 / probability - 1) ** (1 / 1.6))

    text = page.text

    assert f"Probability of PNEUMONIA, not calibrated {100 * probability:.1f} %" in text
    assert f"{100 * calibrated:.1f} %" in text and "temperature 1.60" in text
    assert "75.0 % are PNEUMONIA: where it is rarer, both probabilities are too high" in text
    assert "probability 0.5 PNEUMONIA 91.2 % 89.2–93.2 % 85.3 %" in text
    assert "chosen on validation NORMAL 91.2 %" in text


def test_evidence_and_every_layer_are_shown_in_order(page):
    assert page.descriptions[:2] == [
        "The radiograph image 0.jpeg",
        "The radiograph as the network sees it",
    ]
    heat = [d for d in page.descriptions if d.startswith("Heat by")]
    assert len(heat) > 2 and heat[-1] == "Heat by integrated gradients"
    assert page.html.count(" hidden>") == len(heat)  # all but the first, and the controls
    named = re.findall(r'aria-label="Activation maps of the layer (\w+)"', page.html)
    shown = list(dict.fromkeys(named))
    assert shown[:3] == ["stem", "stem_pool", "stage1_block1_conv1"]
    assert shown[-1].startswith("stage4_block1")
    full = dict(re.findall(r"<summary>All (\d+) channels of (\w+)</summary>", page.html))
    assert full and all(int(channels) > 16 for channels in full)
    assert "stem" not in full.values() and "<details open" not in page.html
    assert "Convolution 5 x 5, stride 2, 4 filters; its output is 24 x 24 x 4." in page.text
    assert "Max pooling 3 x 3, stride 2; its output is 12 x 12 x 4." in page.text
    assert "Average pooling 2 x 2; its output is 6 x 6 x 4." in page.text


def test_the_article_network_without_calibration_has_its_page_too(tmp_path, files, read_page):
    run = finish_run(tmp_path / "run", temperature=1.0, name="article", channels=3)

    text = read_page(first(image_page.write(run, files[:1]).pages)).text

    assert "Convolution 3 x 3, 128 filters, relu" in text
    assert "This run is not calibrated" in text and "Calibrated" not in text


def test_all_of_several_labels_are_predicted_and_two_explained(tmp_path, files, read_page):
    labels = ("Effusion", "Mass", "Fibrosis")
    run = finish_run(tmp_path / "run", labels)
    likely = probabilities(run, files[0])
    ordered = [labels[number] for number in np.argsort(-likely)]

    page = read_page(first(image_page.write(run, files[:1]).pages))

    places = [
        page.text.index(f" {label} {100 * p:.1f} %")
        for label, p in zip(labels, likely, strict=True)
    ]
    assert [labels[number] for number in np.argsort(places)] == ordered
    explained = re.findall(r'group" aria-label="Evidence for (\w+) by', page.html)
    assert explained == ordered[:2]
    assert "absent" in page.text


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "below 0.1 %"), (0.25, "25.0 %"), (0.9993, "above 99.9 %"), (0.999, "99.9 %")],
)
def test_no_probability_is_shown_as_certain(probability, text):
    assert image_page.likely(probability) == text


def test_pages_are_named_after_the_files_and_all_distinct(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr(image_page, "_content", lambda *_: {"predictions": []})
    monkeypatch.setattr(image_page.page, "template", lambda *_, **__: BlankTemplate)
    for folder, name in (("a", "X.png"), ("b", "x.png"), ("c", "X.png")):
        (tmp_path / folder).mkdir()
        Image.open(files[0]).save(tmp_path / folder / name)
    images = [tmp_path / "a/X.png", tmp_path / "b/x.png", tmp_path / "c/X.png"]

    pages = image_page.write(run, images, tmp_path / "out").pages

    assert [page.name for page in pages] == ["X.png.html", "x.png-2.html", "X.png-3.html"]
    assert list(image_page.write(run, files[1:2]).pages) == [run / "images/image 1.jpeg.html"]


class BlankTemplate:
    @staticmethod
    def render(_):
        return ""


def test_the_way_of_the_file_to_the_network_is_shown_and_its_name_as_text(run, tmp_path, read_page):
    file = tmp_path / "<b>wide&.png"
    grey = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    Image.fromarray(grey).convert("RGB").save(file)

    page = read_page(first(image_page.write(run, [file], tmp_path).pages))

    assert "Kind PNG, colour Size 200 x 100 pixels" in page.text
    assert "Stored as 64 x 32 pixels" in page.text
    assert "squashed to 48 x 48 pixels" in page.text
    assert "its width shrinks 2.00 times as much as its height" in page.text
    assert "<b>wide" not in page.html and "<b>wide&.png" in page.text


def test_a_dicom_file_reveals_nothing_about_the_patient(run, shared_data, tmp_path, read_page):
    file = next((shared_data / "dicom").glob("nih_tfio*.dcm"))

    page = read_page(first(image_page.write(run, [file], tmp_path).pages))

    header = dicom.header(file.read_bytes())
    assert f"Kind DICOM, {header.modality}, " in page.text
    assert header.sop_uid and header.sop_uid not in page.html


def test_unusable_images_are_all_named_and_the_others_have_pages(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr(image_page, "_content", lambda *_: {"predictions": []})
    monkeypatch.setattr(image_page.page, "template", lambda *_, **__: BlankTemplate)
    (tmp_path / "bad.png").write_bytes(b"")
    bad = [tmp_path / "bad.png", tmp_path / "nowhere.png"]

    pages, reasons = image_page.write(run, [files[0], bad[0], files[1], bad[1]], tmp_path / "out")

    assert [page.name for page in pages] == [f"{file.name}.html" for file in files[:2]]
    assert "bad.png (empty file)" in reasons[0]
    assert "nowhere.png (cannot be read: No such file" in reasons[1]
    with pytest.raises(UsageError, match="none of the images can be used, and nothing was written"):
        image_page.write(run, bad, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_takes_folders_and_prints_each_probability(
    run, files, tmp_path, monkeypatch, capsys
):
    flag_values = report.flags.FlagValues()
    report.define_flags(flag_values)
    monkeypatch.setattr(report.flags, "FLAGS", flag_values)
    folder = files[0].parent
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    images = [f"--image={folder}", f"--image={bad}"]
    argv = flag_values(["report", str(run), *images, f"--out={tmp_path}"])

    with pytest.raises(ExitError, match="1 of .* images cannot be used: .*bad.png") as error:
        report.main(argv)

    assert error.value.exit_code == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{tmp_path}/{f.name}.html" for f in files]
    shown = f"PNEUMONIA {100 * probabilities(run, files[0])[0]:.1f} % (calibrated "
    assert lines[0].split(": ")[1].startswith(shown)
