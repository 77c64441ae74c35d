"""The pages that a person opens: whole in one file, legible on any screen, in light and dark."""

from pathlib import Path

import pytest
from etils import epath
from playwright.sync_api import Page

from trainer.commands import audit as audit_command
from trainer.data import sources
from trainer.report import comparison as comparison_page
from trainer.report import image_page

pytestmark = pytest.mark.slow
PAGES = ("report", "comparison", "image", "audit")

# What sticks out to the right of the page, or is cut off, but for what scrolls by itself.
STICKING_OUT = """() => {
  const scrolls = (element) => {
    for (let box = element; box && box !== document.body; box = box.parentElement)
      if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return true;
    return false;
  };
  const tell = (element) => element.outerHTML.slice(0, 160);
  const width = document.documentElement.clientWidth;
  const found = [];
  if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways");
  for (const element of document.body.querySelectorAll("*:not(svg *)")) {
    const box = element.getBoundingClientRect();
    if (!box.width || scrolls(element)) continue;
    if (box.right > width + 1 || box.left < -1) found.push("sticks out: " + tell(element));
    if (/hidden|clip/.test(getComputedStyle(element).overflowX) &&
        element.scrollWidth > element.clientWidth + 1) found.push("is cut off: " + tell(element));
  }
  return found;
}"""

# Texts of charts that lie across their chart's border or across one another.
CLASHING = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim());
    const boxes = texts.map((text) => {
      const { left, top, right, bottom } = text.getBoundingClientRect();
      // The box has room for accents and descenders above and below the letters.
      const inset = 0.2 * Math.min(right - left, bottom - top);
      return [left + inset, top + inset, right - inset, bottom - inset];
    });
    const tell = (at) => `"${texts[at].textContent.trim()}"`;
    boxes.forEach(([left, top, right, bottom], one) => {
      if (left < frame.left || top < frame.top || right > frame.right || bottom > frame.bottom)
        found.push(`${tell(one)} leaves its chart`);
      for (let other = 0; other < one; other++) {
        const [x, y, X, Y] = boxes[other];
        if (left < X && x < right && top < Y && y < bottom)
          found.push(`${tell(one)} lies on ${tell(other)}`);
      }
    });
  }
  return found;
}"""

# Plain words that are torn over two lines; names with other signs in them may break anywhere.
TORN_WORDS = r"""() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const plain = /(?<![\p{L}\p{N}_.\/-])\p{L}{2,14}(?![\p{L}\p{N}_.\/-])/gu;
  const fields = ".config code:first-child, .fields td:first-child code";  // break at "." and "_"
  for (let text; (text = texts.nextNode()); ) {
    if (text.parentElement.closest("svg, script, style")) continue;
    const words = text.parentElement.closest(fields) ? /\p{L}+/gu : plain;
    for (const word of text.data.matchAll(words)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((line) => line.top)).size > 1)
        found.push(`"${word[0]}" is torn`);
    }
  }
  return found;
}"""

# How many tiles of a sheet are side by side.
ACROSS = """(sheet) => {
  const tops = [...sheet.querySelector(".tiles").children].map((tile) => tile.offsetTop);
  return tops.filter((top) => top === tops[0]).length;
}"""

BROKEN_IMAGES = """async () => {
  for (const image of document.images) image.loading = "eager";
  await Promise.allSettled([...document.images].map((image) => image.decode()));
  return [...document.images].filter((image) => !image.naturalWidth)
    .map((image) => "is broken: " + image.outerHTML.slice(0, 160));
}"""

CHECKS = (STICKING_OUT, CLASHING, TORN_WORDS, BROKEN_IMAGES)
UNFOLD = """() => document.querySelectorAll("details").forEach((part) => {
  part.removeAttribute("name");  // of which one at a time is open
  part.open = true;
})"""
FOLD = "() => document.querySelectorAll('details').forEach((part) => part.open = false)"

FAULTY = """<!DOCTYPE html><body style="margin: 0">
<p style="width: 900px">wide</p>
<p style="width: 40px; overflow: hidden; white-space: nowrap">too long for its place</p>
<img src="data:image/png;base64,AAAA">
<p style="width: 20px; overflow-wrap: anywhere">second</p>
<svg width="200" height="60"><text x="10" y="20">one</text><text x="15" y="22">two</text>
<text x="190" y="50">outside</text></svg>
<div style="overflow-x: auto"><p style="width: 900px">scrolls by itself</p></div>"""


@pytest.fixture(scope="module")
def pages(browser, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file of each page."""
    folder = tmp_path_factory.mktemp("pages")
    source = sources.open_source("phantom:20")
    record = source.records()[0]
    (folder / "radiograph.jpeg").write_bytes(source.read(record))
    first, second, comparison = runs / "first", runs / "second", folder / "comparison.html"
    audit = folder / "audit.html"
    comparison_page.write([first, second], comparison)
    (image,) = image_page.write(first, [folder / "radiograph.jpeg"], folder).pages
    audit_command.write(sources.open_source("phantom:120"), epath.Path(audit))
    return dict(zip(PAGES, (first / "report.html", comparison, Path(image), audit), strict=True))


def faults(page: Page) -> list[str]:
    """Returns what of a page is cut off, overlaps or did not load, everything unfolded."""
    page.evaluate(UNFOLD)
    return [fault for check in CHECKS for fault in page.evaluate(check)]


def test_faults_are_found(browser):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.set_content(FAULTY)
    told = "; ".join(faults(page))
    page.close()
    assert "the page scrolls sideways" in told
    assert 'sticks out: <p style="width: 900px">wide' in told
    assert "is cut off" in told
    assert '"two" lies on "one"' in told
    assert '"outside" leaves its chart' in told
    assert '"second" is torn' in told
    assert "is broken: <img" in told
    assert "scrolls by itself" not in told


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (800, "dark"), (1400, "light")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_legible(pages: dict[str, Path], visit, name: str, width: int, scheme: str):
    file, dark = pages[name].as_uri(), scheme == "dark"
    with visit(file, f"{name}-{width}-{scheme}", width=width, dark=dark) as page:
        assert not faults(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints(pages: dict[str, Path], visit, name: str):
    # A4 within its margins, in CSS pixels.
    with visit(pages[name].as_uri(), f"{name}-print", width=718) as page:
        page.emulate_media(media="print")
        assert not faults(page)
        page.evaluate(FOLD)
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF") and 1 <= printed.count(b"/Type /Page\n") <= 8


@pytest.mark.parametrize(("width", "across"), [(360, 2), (800, 4), (1400, 4)])
def test_a_sheet_has_as_many_columns_as_there_is_room_for(pages, visit, width: int, across: int):
    with visit(pages["report"].as_uri(), f"sheet-{width}", width=width) as page:
        assert page.locator(".sheet.across").first.evaluate(ACROSS) == across
        # The layers are a strip, of which one is open at a time, below it.
        first, second = (page.locator(".layers > details").nth(number) for number in (0, 1))
        first.locator("summary").first.click()
        second.locator("summary").first.click()
        assert [each.get_attribute("open") for each in (first, second)] == [None, ""]


def test_a_button_saves_a_chart(pages, visit):
    with visit(pages["report"].as_uri(), "saved") as page:
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as SVG").first.click()
        drawn = Path(saved.value.path()).read_text()
    assert saved.value.suggested_filename.endswith(".svg") and drawn.startswith("<svg")


def test_heat_fades_and_grows_with_its_sliders(pages, visit):
    with visit(pages["image"].as_uri(), "sliders") as page:
        viewer = page.locator(".viewer").first
        stage, heat = viewer.locator(".stage"), viewer.locator(".heat:visible")
        height = stage.bounding_box()["height"]
        viewer.locator(".opacity").fill("0.25")
        viewer.locator(".zoom").fill("3")
        assert heat.evaluate("(heat) => getComputedStyle(heat).opacity") == "0.25"
        assert heat.bounding_box()["height"] == pytest.approx(3 * height, abs=2)
        assert stage.bounding_box()["height"] == pytest.approx(height, abs=2)
        method = viewer.locator("select option").last.inner_text()
        viewer.locator("select").select_option(method)
        assert heat.get_attribute("data-method") == method and heat.count() == 1
