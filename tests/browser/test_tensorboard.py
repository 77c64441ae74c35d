"""TensorBoard shows a run in a browser: every dashboard, its tags by name, its pictures filled."""

import base64
import importlib.util
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.slow
CURVES = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")
SCALARS = (
    *(f"metrics/{name}" for name in CURVES),
    "training/gradient_norm",
    "training/update_ratio",
    "training/learning_rate",
    "speed/images_per_second",
    "speed/step_milliseconds",
    "speed/input_wait",
    "speed/host_memory_gib",
    "speed/checkpoint_seconds",
)
JUDGED = ("roc", "precision_recall", "calibration", "scores", "confusion")
TEXTS = ("model", "config", "environment", "data")
# Grey levels that make up 98 % of a picture: charts have at least 11, constant montages with
# captions at most 3.
LEAST_LEVELS = 8


@pytest.fixture(scope="module")
def board(serve, runs: Path) -> Iterator[str]:
    with serve("--logdir", str(runs / "first/tensorboard")) as url:
        yield url


@pytest.fixture(scope="module")
def layers(runs: Path) -> list[str]:
    """The layers whose activations are shown, as they are named in tags."""
    shown = (runs / "first" / "pictures" / "validation" / "activations").glob("*.png")
    names = sorted(path.stem for path in shown)
    assert names
    return names


def is_filled(picture: bytes) -> bool:
    """Says whether a picture shows more than a blank, constant tiles or lonely captions."""
    levels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    pixels = np.sort(np.bincount(levels.ravel(), minlength=256))[::-1]
    return bool(np.searchsorted(pixels.cumsum(), 0.98 * levels.size) + 1 >= LEAST_LEVELS)


def not_filled(images: Locator) -> list[str]:
    """Returns the addresses of those <img> that are broken, blank or constant."""
    for image in images.all():
        expect(image).to_have_js_property("complete", True)
    facts = images.evaluate_all("all => all.map(image => [image.src, image.naturalWidth])")
    request = images.page.request
    return [
        source
        for source, width in facts
        if not width
        or not is_filled(
            base64.b64decode(source.partition(",")[2])
            if source.startswith("data:")
            else request.get(source).body()
        )
    ]


def expect_tags(page: Page, tags: Iterable[str]) -> None:
    """Waits for the cards of some tags in a dashboard of cards."""
    names = page.locator("tf-card-heading .heading-label.name")
    for tag in tags:
        card = names.filter(has_text=re.compile(rf"^\s*{re.escape(tag)}\s*$"))
        expect(card.first, f"no card of {tag}").to_be_visible()


def data_uri(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_broken_blank_and_constant_pictures_are_found(browser):
    constant = Image.new("RGB", (320, 240), (90, 90, 90))
    montage = Image.new("L", (640, 640), 16)
    draw = ImageDraw.Draw(montage)
    draw.text((10, 4), "stage1  48 x 48 x 16: the most active channels", 255)
    for x in range(4):
        for y in range(4):  # channels without any activation, framed and numbered
            draw.rectangle((156 * x + 10, 150 * y + 32, 156 * x + 150, 150 * y + 170), 64, 200)
            draw.text((156 * x + 12, 150 * y + 34), str(4 * y + x), 255)
    noise = np.random.default_rng(0).integers(0, 255, (240, 320), dtype=np.uint8)
    good = data_uri(Image.fromarray(noise))
    bad = [data_uri(constant), data_uri(montage), "data:image/png;base64,AAAA"]
    page = browser.new_page()
    page.set_content("".join(f"<img src='{source}'>" for source in [*bad, good]))
    assert not_filled(page.locator("img")) == bad
    page.close()


def test_time_series_show_scalars_pictures_and_histograms(board: str, visit, layers: list[str]):
    tags = (*SCALARS, "radiographs/samples", f"outputs/{layers[0]}")
    with visit(f"{board}/#timeseries", "timeseries", height=3000) as page:
        # One list of cards; groups would be folded.
        page.locator("metrics-tag-filter input").fill("|".join(f"^{tag}$" for tag in tags))
        for tag in tags:
            expect(page.locator(f"card-view [title='{tag}']").first, f"no {tag}").to_be_visible()
        assert not not_filled(page.locator("image-card img"))
        assert page.locator("scalar-card line-chart").count() >= len(SCALARS)
        page.keyboard.press("Escape")  # closes the list of suggestions


def test_scalars_are_curves_of_every_split(board: str, visit):
    with visit(f"{board}/#scalars&tagFilter=.", "scalars") as page:
        expect_tags(page, SCALARS)
        assert sorted(page.request.get(f"{board}/data/runs").json()) == [
            "test",
            "train",
            "validation",
        ]
        for run in ("train", "validation", "test"):
            expect(page.locator("tf-runs-selector").get_by_text(run).first).to_be_visible()
        cards = page.locator("tf-scalar-card")
        for number in range(len(SCALARS)):
            curves = cards.nth(number).locator("path.line, .scatter-plot path")
            expect(curves.first).to_be_attached()


def test_custom_scalars_group_what_belongs_together(board: str, visit):
    with visit(f"{board}/#custom_scalars", "custom_scalars") as page:
        charts = page.locator("tf-custom-scalar-dashboard vz-line-chart2")
        expect(charts.first).to_be_visible()
        expect(charts.first.locator("path").first).to_be_attached()


def test_images_are_there_and_filled(board: str, visit, layers: list[str]):
    with visit(f"{board}/#images&tagFilter=.", "images") as page:
        expect_tags(page, ("radiographs/samples", "radiographs/augmented", "results/errors"))
        expect_tags(page, (f"network/activations/{layer}" for layer in layers))
        expect_tags(page, (f"network/activations_whole/{layer}" for layer in layers))
        expect_tags(page, (f"network/explanations/{name}" for name in ("examples", "errors")))
        expect_tags(page, (f"results/PNEUMONIA/{chart}" for chart in JUDGED))
        images = page.locator("tf-image-loader img")
        assert images.count() >= 2 * len(layers)
        assert not not_filled(images)


def test_the_graph_of_the_network_opens_on_its_layers(board: str, visit, layers: list[str]):
    with visit(f"{board}/#graphs", "graphs") as page:
        names = [layer.partition("_")[2] for layer in layers]
        for name in (names[0], names[-1]):
            expect(page.locator(f"tf-graph-scene g.node[data-name$='{name}']")).to_be_attached()


def test_histograms_hold_weights_and_activations(board: str, visit, layers: list[str]):
    with visit(f"{board}/#histograms&tagFilter=.", "histograms") as page:
        expect_tags(page, (f"outputs/{layer}" for layer in layers))
        expect(page.locator("vz-histogram-timeseries path").first).to_be_visible()
        names = page.locator("tf-card-heading .heading-label.name").all_inner_texts()
        assert sum(name.startswith("weights/") for name in names) >= len(layers)


def test_distributions_show_the_same(board: str, visit, layers: list[str]):
    with visit(f"{board}/#distributions&tagFilter=^outputs", "distributions") as page:
        expect_tags(page, (f"outputs/{layer}" for layer in layers))
        expect(page.locator("vz-distribution-chart path").first).to_be_attached()


def test_texts_say_what_was_run(board: str, visit):
    with visit(f"{board}/#text&tagFilter=.", "text") as page:
        expect_tags(page, TEXTS)
        for words in ("batch_size", "Conv2D", "tensorflow", "PNEUMONIA"):
            expect(page.locator("tf-markdown-view").get_by_text(words).first).to_be_visible()


@pytest.mark.parametrize(
    ("arguments", "trials"),
    [
        (("--logdir", "{runs}/first/tensorboard"), 1),
        (("--logdir", "{runs}"), 2),
        (("--logdir_spec", "one:{runs}/first/tensorboard,two:{runs}/second/tensorboard"), 2),
    ],
)
def test_hparams_compare_runs(serve, runs: Path, visit, arguments: tuple[str], trials: int):
    """The arguments are those of scripts/tensorboard.sh for a run, a folder, and several runs."""
    with (
        serve(*(argument.format(runs=runs) for argument in arguments)) as url,
        visit(f"{url}/#hparams", f"hparams-{arguments[0][2:]}-{trials}", width=2000) as page,
    ):
        cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
        # A trial is named by its folder and the one around it; the first one was copied.
        expect(cells.filter(has_text=re.compile(r"^\s*[\w.-]+/[\w.-]+\s*$"))).to_have_count(trials)
        for field in ("model.name", "optimizer.learning_rate", "train.batch_size", "augment"):
            expect(cells.filter(has_text=re.compile(rf"^\s*{field}\s*$")).first).to_be_attached()
        expect(cells.filter(has_text="validation auc").first).to_be_attached()
        history = json.loads((runs / "first" / "history.json").read_text())
        auc = f"{history[-1]['validation']['auc']:.5g}"
        expect(cells.filter(has_text=auc).first).to_be_attached()


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard_plugin_profile"),
    reason="needs the profile plugin: scripts/setup.sh --profile",
)
def test_the_profile_of_the_traced_steps_can_be_chosen(board: str, visit):
    # The plugin asks for Google's charts and fonts, which a machine without internet cannot have.
    foreign = r"gstatic|googleapis|/data/plugin/profile/"
    with visit(f"{board}/#profile", "profile", foreign=foreign) as page:
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("Overview Page").first).to_be_visible()
        expect(frame.get_by_text(re.compile(r"train/\d{4}_")).first).to_be_visible()
