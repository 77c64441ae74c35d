"""Behaviour of the page of one image: what the network says of it, why, and what is refused."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from etils import epath
from PIL import Image

from trainer import models
from trainer.checkpoint import checkpoint
from trainer.config.schema import default
from trainer.data.decode import dicom
from trainer.data.synthetic import phantom
from trainer.report import image_page
from trainer.system.errors import UsageError

SIDE = 48
STEP, EPOCH = 10, 2


def interval(value):
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def point(name, threshold):
    rates = {"sensitivity": interval(0.912), "specificity": interval(0.853)}
    return {"name": name, "threshold": threshold, "accuracy": interval(0.9), **rates}


def put(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def finish_run(run, labels=("PNEUMONIA",), thresholds=(0.5, 0.0), temperature=1.6, **model):
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
    names = ("probability 0.5", "chosen on validation")
    of_label = {
        "operating_points": [point(*of) for of in zip(names, thresholds, strict=True)],
        "calibration": {"temperature": temperature},
    }
    evaluation = {"images": 310, "epoch": EPOCH, "step": STEP, "auc": interval(0.974)}
    put(run / "evaluation/test.json", evaluation | {"labels": dict.fromkeys(labels, of_label)})
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
def html(run, files, tmp_path_factory):
    """The page of an image."""
    (page,) = image_page.write(run, files[:1], tmp_path_factory.mktemp("out"))
    return page.read_text()


class Page(HTMLParser):
    """The words and the pictures of a page."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.pictures, self.addresses, self.words = [], [], [], ""
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.elements.append(tag)
        self._hidden += tag == "style"
        if tag == "img":
            self.pictures.append((given["alt"], given["src"]))
        self.addresses += [given[name] for name in ("src", "href") if name in given]

    def handle_endtag(self, tag):
        self._hidden -= tag == "style"

    def handle_data(self, data):
        if not self._hidden:
            self.words += f" {data}"

    @property
    def text(self):
        return " ".join(self.words.split())


def test_a_page_holds_everything_and_runs_nothing(html):
    page = Page(html)

    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.elements)
    assert not re.search(r"@import|url\(|\son\w+=", html)


def test_it_tells_probability_and_calibrated_probability(html, run, files):
    trained = image_page.TrainedModel.of(run)
    image = trained.read_image(files[0])
    probability = trained.probabilities(image[None])[0, 0]
    calibrated = 1 / (1 + (1 / probability - 1) ** (1 / 1.6))

    text = Page(html).text

    assert f"Probability of PNEUMONIA, as the network gives it {100 * probability:.1f} %" in text
    assert f"{100 * calibrated:.1f} %" in text and "temperature 1.60" in text
    assert "75.0 % are PNEUMONIA: where it is rarer, both numbers are too high" in text


@pytest.mark.parametrize(("thresholds", "called"), [((0.0, 1.0), "PN"), ((1.0, 0.0), "NP")])
def test_each_threshold_calls_the_image(tmp_path, files, thresholds, called):
    run = finish_run(tmp_path / "run", thresholds=thresholds)

    text = Page(image_page.write(run, files[:1])[0].read_text()).text

    names = {"P": "PNEUMONIA", "N": "NORMAL"}
    first, last = (names[letter] for letter in called)
    assert f"probability 0.5 {first} 91.2 % 89.2–93.2 % 85.3 %" in text
    assert f"chosen on validation {last} 91.2 %" in text


def test_it_claims_no_diagnosis_and_says_what_it_is(html):
    text = Page(html).text

    assert "Not a medical device" in text and "must not be used to diagnose" in text
    assert "synthetic" not in text
    assert "AUC on 310 test images is 0.974" in text
    assert "4,638 radiographs of Some <hospital>" in text


def test_the_evidence_and_every_layer_are_shown_in_order(html):
    descriptions = [description for description, _ in Page(html).pictures]

    assert descriptions[:2] == [
        "The radiograph image 0.jpeg",
        "Evidence for PNEUMONIA by integrated gradients and Grad-CAM",
    ]
    shown = [d.rsplit(" ", 1)[1] for d in descriptions if d.startswith("Activation")]
    assert shown[:3] == ["stem", "stem_pool", "stage1_block1_conv1"]
    assert shown[-1].startswith("stage4_block1")


def test_only_layers_that_were_cut_have_their_whole_folded(html):
    whole = re.findall(r"<summary>All (\d+) channels of (\w+)</summary>", html)

    assert whole and all(int(channels) > 16 for channels, _ in whole)
    assert "stem" not in dict((name, channels) for channels, name in whole)
    assert "<details open" not in html


def test_a_layer_is_told_in_words(html):
    text = Page(html).text

    assert "Convolution 5 x 5, stride 2, 4 filters; its output is 24 x 24 x 4." in text
    assert "The largest of each 3 x 3 places, stride 2; its output is 12 x 12 x 4." in text
    assert "The mean of each 2 x 2 places; its output is 6 x 6 x 4." in text


def test_the_article_network_has_its_page_too(tmp_path, files):
    run = finish_run(tmp_path / "run", name="article", channels=3)

    text = Page(image_page.write(run, files[:1])[0].read_text()).text

    assert "Convolution 3 x 3, 128 filters, relu" in text


def test_of_several_labels_all_are_told_and_two_explained(tmp_path, files):
    labels = ("Effusion", "Mass", "Fibrosis")
    run = finish_run(tmp_path / "run", labels)
    trained = image_page.TrainedModel.of(run)
    likely = trained.probabilities(trained.read_image(files[0])[None])[0]
    ordered = [labels[number] for number in np.argsort(-likely)]

    page = Page(image_page.write(run, files[:1])[0].read_text())

    places = [
        page.text.index(f" {label} {100 * p:.1f} %")
        for label, p in zip(labels, likely, strict=True)
    ]
    assert [labels[number] for number in np.argsort(places)] == ordered
    explained = [d.split()[2] for d, _ in page.pictures if d.startswith("Evidence")]
    assert explained == ordered[:2]
    assert "present" in page.text


def test_a_run_without_calibration_says_so(tmp_path, files):
    run = finish_run(tmp_path / "run", temperature=1.0)

    text = Page(image_page.write(run, files[:1])[0].read_text()).text

    assert "The run found no calibration" in text and "Calibrated" not in text


@pytest.mark.parametrize(
    ("probability", "told"),
    [(0.0, "below 0.1 %"), (0.25, "25.0 %"), (0.9993, "above 99.9 %"), (0.999, "99.9 %")],
)
def test_no_probability_is_told_as_certain(probability, told):
    assert image_page.likely(probability) == told


def test_pages_lie_in_the_run_and_are_named_after_the_files(run, files):
    pages = image_page.write(run, files[:2])

    assert pages == [run / "images/image 0.jpeg.html", run / "images/image 1.jpeg.html"]
    assert all(page.exists() for page in pages)


def test_files_of_one_name_have_pages_of_their_own(run, files, tmp_path):
    for folder, name in (("a", "X.png"), ("b", "x.png"), ("c", "X.png")):
        (tmp_path / folder).mkdir()
        Image.open(files[0]).save(tmp_path / folder / name)
    images = [tmp_path / "a/X.png", tmp_path / "b/x.png", tmp_path / "c/X.png"]

    pages = image_page.write(run, images, tmp_path / "out")

    assert [page.name for page in pages] == ["X.png.html", "x.png-2.html", "X.png-3.html"]


def test_what_was_done_to_the_file_is_told(run, tmp_path):
    Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (100, 1))).convert("RGB").save(
        tmp_path / "wide.png"
    )

    (page,) = image_page.write(run, [tmp_path / "wide.png"], tmp_path)
    text = Page(page.read_text()).text

    assert "Kind PNG, colour Size 200 x 100 pixels" in text
    assert "Kept as 64 x 32 pixels" in text
    assert "squashed to 48 x 48 pixels" in text
    assert "its width shrinks 2.00 times as much as its height" in text


def test_a_dicom_file_tells_its_kind_and_nothing_of_the_patient(run, shared_data, tmp_path):
    file = next((shared_data / "dicom").glob("nih_tfio*.dcm"))

    (page,) = image_page.write(run, [file], tmp_path)

    header, html = dicom.header(file.read_bytes()), page.read_text()
    assert f"Kind DICOM, {header.modality}, " in Page(html).text
    for identity in (header.study_uid, header.series_uid, header.sop_uid):
        assert identity and identity not in html


def test_a_damaged_image_is_refused_before_anything_is_written(run, files, tmp_path):
    (tmp_path / "bad.png").write_text("hello")

    with pytest.raises(
        UsageError, match=r"the image cannot be used.*bad\.png \(text, not an image\)"
    ):
        image_page.write(run, [tmp_path / "bad.png"], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_all_bad_images_among_several_are_named_and_none_is_written(run, files, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    images = [files[0], tmp_path / "bad.png", files[1], tmp_path / "nowhere.png"]

    with pytest.raises(UsageError) as refused:
        image_page.write(run, images, tmp_path / "out")

    said = str(refused.value)
    assert said.startswith("2 of 4 images cannot be used, and nothing was written: ")
    assert "bad.png (empty file)" in said and "nowhere.png (cannot be read: No such file" in said
    assert not (tmp_path / "out").exists()


def test_names_are_shown_as_text_not_as_markup(run, files, tmp_path):
    name = "<b>bold&.jpeg"
    (tmp_path / name).write_bytes(files[0].read_bytes())

    (page,) = image_page.write(run, [tmp_path / name], tmp_path / "out")

    assert "<b>bold" not in page.read_text() and name in Page(page.read_text()).text
