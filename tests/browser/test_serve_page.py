"""The page of radiograph serve: files in, answers out, by mouse and keyboard, on any screen."""

import base64
import io
import json
import re
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from etils import epath
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.test_pages import faults
from tests.serve.test_radiographs import dicom
from trainer.data.synthetic import phantom
from trainer.export.exported import Exported
from trainer.serve import address, server

pytestmark = pytest.mark.slow
TOKEN = "a token of some length"
ANY = ".*"  # troubles that a test makes itself
HOSTILE = '<img src=x onerror="document.title=1">\u202e"&lt;'  # as a name: HTML, and from the right

# A number stands for as many bytes of zero.
DROP = """([name, sent]) => {
  const bytes = new Uint8Array(sent > 0 ? sent : [...atob(sent)].map((c) => c.charCodeAt(0)));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
}"""

MEAN_GREY = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((sum, value, at) => sum + (at % 4 ? 0 : value), 0) / (data.length / 4);
}"""

FOCUSED = """() => {
  const element = document.activeElement;
  return [element.id || element.tagName, getComputedStyle(element).outlineWidth];
}"""

# Texts whose contrast with what is behind them is below WCAG's 4.5.
FAINT = """() => {
  const luminance = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
    return colour.endsWith(", 0)") ? behind(element.parentElement) : colour;
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches("script, noscript, option")) continue;
    const pair = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(1)}: ${element.outerHTML.slice(0, 120)}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def running(browser, lungs: epath.Path) -> Iterator[server.Server]:
    """The server of a tiny export, in a thread."""
    del browser  # without one there is nothing to serve
    service = server.service(Exported.open(lungs), "lungs", server.Options(batch=8))
    running, bound = server.Server(service, drain=0), address.bind("127.0.0.1", 0)
    thread = threading.Thread(target=running.run, args=([bound],), daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield running
    running.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def url(running: server.Server) -> str:
    port = running.servers[0].sockets[0].getsockname()[1]
    return f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def radiograph() -> bytes:
    """A phantom as PNG."""
    (_, jpeg), *_ = phantom.archive(1)
    return png(np.asarray(Image.open(io.BytesIO(jpeg))))


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def drop(page: Page, name: str, data: bytes | int) -> None:
    expect(page.locator("#drop")).to_be_visible()
    sent = data if isinstance(data, int) else base64.b64encode(data).decode()
    page.evaluate(DROP, [name, sent])


def answered(page: Page, data: bytes) -> None:
    """Drops a radiograph, and waits until it and its heat are seen."""
    drop(page, "chest.png", data)
    expect(page.locator(".decision")).to_be_visible()
    page.wait_for_function("() => heat.naturalWidth && radiograph.width === heat.naturalWidth")


def test_a_png_and_a_dicom_file_show_what_the_server_answers(visit, url: str, radiograph: bytes):
    files = {"a.png": radiograph, "b.dcm": dicom(np.asarray(Image.open(io.BytesIO(radiograph))))}
    asked: list[str] = []
    with visit(url, "serve-dropped", height=700) as page:
        page.on("request", lambda request: asked.append(request.url))
        for name, data in files.items():
            with page.expect_response(re.compile("radiographs[?]")) as response:
                drop(page, name, data)
            (row,) = response.value.json()["radiographs"]
            (label,), decision = row["labels"], page.locator(".decision")
            expect(page.locator("#name")).to_have_text(name)
            expect(decision.locator("strong")).to_have_text(row["decision"])
            for part in ("probability", "threshold", "calibrated"):
                expect(decision).to_contain_text(f"{part} {100 * label[part]:.1f} %")
            expect(page.locator("#said")).to_contain_text(f"{name}: {row['decision']}.")
            expect(page.locator(".set")).to_have_text("".join(row["set"]) or re.compile("none"))
            page.wait_for_function("(size) => heat.naturalHeight === size[0]", arg=row["size"])
            page.wait_for_function("(size) => radiograph.width === size[1]", arg=row["size"])
            expect(page.locator("#heat")).to_be_visible()
            grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(row["image"]))), float)
            drawn = page.locator("#radiograph").evaluate(MEAN_GREY)
            assert drawn == pytest.approx(grey.mean(), abs=1)
        page.mouse.wheel(0, 2000)
        expect(page.get_by_role("note")).to_be_in_viewport()  # not a medical device
    assert all(address.startswith((url, "data:")) for address in asked)


def test_window_level_zoom_and_heat_follow_mouse_and_sliders(visit, url: str, radiograph: bytes):
    with visit(url, "serve-viewer") as page:
        answered(page, radiograph)
        canvas, stage, layers = map(page.locator, ("#radiograph", "#stage", "#layers"))
        before, box = canvas.evaluate(MEAN_GREY), stage.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 50, y - 60)
        page.mouse.up()
        expect(page.locator("#window")).to_have_value("205")
        expect(page.locator("#level")).to_have_value("188")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert canvas.evaluate(MEAN_GREY) < before - 20
        page.mouse.wheel(0, -400)
        assert layers.bounding_box()["width"] > 1.5 * box["width"]
        page.get_by_label("move").check()
        left = layers.bounding_box()["x"]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y)
        page.mouse.up()
        assert layers.bounding_box()["x"] == pytest.approx(left + 30, abs=1)
        page.get_by_label("Heat", exact=True).fill("25")
        expect(page.locator("#heat")).to_have_css("opacity", "0.25")
        page.get_by_role("button", name="Set back").click()
        expect(page.locator("#window")).to_have_value("255")
        assert layers.bounding_box() == stage.bounding_box()


def test_the_keyboard_is_enough(visit, url: str, radiograph: bytes):
    with visit(url, "serve-keyboard") as page:
        files = [{"name": f"{k}.png", "mimeType": "", "buffer": radiograph} for k in (1, 2)]
        page.on("filechooser", lambda chooser: chooser.set_files(files))
        expect(page.locator("#drop")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator("#file")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_text("The network says")).to_be_visible()
        expect(page.locator("#files .answered")).to_have_count(2)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#name")).to_have_text("2.png")
        reached = {}
        for _ in range(9):
            page.keyboard.press("Tab")
            name, outline = page.evaluate(FOCUSED)
            reached[name] = outline
            if name == "stage":
                page.keyboard.press("+")
            if name == "level":
                page.keyboard.press("ArrowRight")
        assert {"stage", "window", "level", "zoom", "opacity", "BUTTON", "coverage"} <= set(reached)
        assert set(reached.values()) == {"3px"}  # the focus is seen
        expect(page.locator("#zoom")).to_have_value("1.25")
        expect(page.locator("#level")).to_have_value("129")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (800, "dark"), (1400, "dark")])
def test_an_answer_is_legible(visit, url: str, radiograph: bytes, width: int, scheme: str):
    with visit(url, f"serve-{width}-{scheme}", width=width, dark=scheme == "dark") as page:
        assert page.evaluate(FAINT) == []
        answered(page, radiograph)
        assert faults(page) == [] and page.evaluate(FAINT) == []


def test_what_is_no_such_radiograph_is_not_to_be_trusted(visit, url: str):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    with visit(url, "serve-flagged") as page:
        drop(page, "noise.png", png(noise))
        first = page.locator("#answer .card").first
        expect(first).to_contain_text("Do not trust this answer")
        expect(first).to_contain_text(re.compile(r" [\d.]+, where [\d.]+ is (allowed|needed)"))


def test_another_coverage_asks_for_another_set(visit, url: str, radiograph: bytes):
    with visit(url, "serve-coverage") as page:
        answered(page, radiograph)
        with page.expect_request(re.compile("coverage=0.95")):
            page.locator("#answer select").select_option("0.95")
        expect(page.locator("#answer select")).to_have_value("0.95")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1400, "light")])
def test_similar_training_images_are_shown_to_who_asks(
    visit, url: str, radiograph: bytes, width: int, scheme: str
):
    name = f"serve-similar-{width}-{scheme}"
    with visit(url, name, width=width, dark=scheme == "dark") as page:
        answered(page, radiograph)
        asked, zoom = page.get_by_label("Show those that the network"), page.locator("#zoom")
        expect(page.locator(".similar li")).to_have_count(0)
        zoom.fill("2")
        asked.focus()
        with page.expect_response(re.compile("similar=6")) as response:
            page.keyboard.press("Space")
        (row,) = response.value.json()["radiographs"]
        expect(page.locator(".similar li")).to_have_count(6)
        for shown, sent in zip(page.locator(".similar li").all(), row["similar"], strict=True):
            expect(shown).to_contain_text(sent["labels"][0])
            expect(shown).to_contain_text(f"distance {sent['distance']:.3f}")
        expect(page.locator("#said")).to_contain_text("Similar training images: ")
        expect(asked).to_be_focused()
        expect(zoom).to_have_value("2")
        zoom.fill("1")
        assert faults(page) == [] and page.evaluate(FAINT) == []
        for change, count in ((asked.uncheck, 0), (asked.check, 6)):
            change()
            expect(page.locator(".similar li")).to_have_count(count)


def test_answer_under_way_is_asked_for_again_when_more_is_wanted(
    visit, url: str, radiograph: bytes
):
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    with visit(url, "serve-under-way") as page:
        answered(page, radiograph)
        page.route(re.compile("radiographs[?]"), hold_first)
        with page.expect_request(re.compile("radiographs[?]")):
            drop(page, "second.png", radiograph)
        files = page.locator("#files button")
        files.first.click()
        page.get_by_label("Show those that the network").check()
        held[0].continue_()
        expect(page.locator("#files .answered")).to_have_count(2)
        files.last.click()
        expect(page.locator(".similar li")).to_have_count(6)


def test_export_without_training_images_offers_none(visit, url: str, radiograph: bytes):
    def without(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"similar": False})

    with visit("about:blank", "serve-none-similar") as page:
        page.route(re.compile("v1/radiographs$"), without)
        page.goto(url)
        answered(page, radiograph)
        expect(page.get_by_text("Similar training images")).to_have_count(0)


def test_errors_are_a_sentence_and_may_be_tried_again(visit, url: str, radiograph: bytes):
    broken: list[Route] = []

    def fail(route: Route) -> None:
        """The server is busy, then gone, then there again, with a hostile label."""
        broken.append(route)
        if len(broken) == 1:
            route.fulfill(status=429, headers={"Retry-After": "0.1"}, json={"error": "Busy."})
        elif len(broken) == 2:
            route.abort()
        else:
            answer = route.fetch()
            sent = answer.text().replace(json.dumps("PNEUMONIA"), json.dumps(HOSTILE))
            route.fulfill(response=answer, body=sent)

    with visit(url, "serve-errors", foreign=ANY) as page:
        drop(page, HOSTILE, b"no image")
        problem = page.locator("#answer .problem")
        expect(problem).to_contain_text(f"{HOSTILE}: The file cannot be used as a radiograph")
        expect(problem.get_by_role("button")).to_have_count(0)
        drop(page, "large.png", 33 * 2**20)
        expect(problem).to_have_text("large.png: it has 33 MiB, and the server takes 32 MiB.")
        page.route(re.compile("v1/radiographs"), fail)
        drop(page, "chest.png", radiograph)
        expect(problem).to_contain_text("The server cannot be reached")
        problem.get_by_role("button", name="Try again").click()
        expect(page.locator(".decision b")).to_have_text(HOSTILE)
        assert page.locator("[src=x]").count() == 0 and page.title() != "1"
        assert len(broken) == 3


def test_a_token_is_asked_for_until_it_is_the_right_one(
    visit, url: str, radiograph: bytes, running: server.Server, monkeypatch: pytest.MonkeyPatch
):
    with visit(url, "serve-token", foreign=ANY) as page:
        expect(page.locator("#drop")).to_be_visible()
        # As of a server that was begun anew.
        monkeypatch.setattr(running.config.app, "_token", TOKEN.encode())
        drop(page, "chest.png", radiograph)
        for token in ("a wrong one", TOKEN):
            field = page.get_by_label("This server asks for a token")
            expect(field).to_be_focused()
            expect(page.get_by_role("alert")).to_contain_text("The token is not accepted")
            field.fill(token)
            field.press("Enter")
        expect(page.locator(".decision")).to_be_visible()
        assert page.evaluate("() => localStorage.length + document.cookie.length") <= 1
