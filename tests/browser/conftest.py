"""What the tests in a real browser share: chromium, a finished run, TensorBoard on it.

Each page that is opened leaves a screenshot in build/screenshots.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from etils import epath
from ml_collections import ConfigDict
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.forks import Forks
from trainer import train

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Shows many cards on a page of TensorBoard; the default is twelve.
SETTINGS = "localStorage.setItem('_tb_global_settings', '{\"paginationSize\": 1000}')"
PATIENCE = 30_000  # milliseconds that a page may take on a busy machine
Visit = Callable[..., AbstractContextManager[Page]]
Serve = Callable[..., AbstractContextManager[str]]


def chromium() -> str | None:
    """Returns the path of this machine's browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


# Not for longer: its event loop is that of the thread, in which other tests start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if not path:
        pytest.skip("needs chromium or google-chrome on PATH, or its path in CHROMIUM")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Visit:
    """Opens an address, keeps a screenshot, and fails if the page had anything to complain of.

    The context takes the address and the screenshot's name; `width` and `height` in pixels;
    `dark`; and `foreign`, a pattern of the addresses whose troubles are not ours.
    """

    @contextmanager
    def visited(
        address: str,
        name: str,
        width: int = 1400,
        height: int = 1000,
        dark: bool = False,
        foreign: str = "^$",
    ) -> Iterator[Page]:
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            # A page that is one file must hold everything.
            offline=address.startswith("file:"),
        )
        context.add_init_script(f"if (location.protocol == 'http:') {SETTINGS}")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        troubles = _troubles(page, foreign)
        try:
            page.goto(address)
            yield page
            assert not troubles
        finally:
            page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
            context.close()

    return visited


def _troubles(page: Page, foreign: str) -> list[str]:
    """Returns a list that fills with what goes wrong in a page."""
    troubles: list[str] = []

    def note(where: str, what: str) -> None:
        if not re.search(foreign, where):
            troubles.append(f"{what} ({where})")

    page.on("pageerror", lambda error: note(page.url, str(error)))
    page.on("requestfailed", lambda request: note(request.url, str(request.failure)))
    page.on(
        "response",
        lambda response: response.status >= 400 and note(response.url, str(response.status)),
    )
    page.on(
        "console",
        lambda message: message.type == "error" and note(message.location["url"], message.text),
    )
    return troubles


@pytest.fixture(scope="session")
def runs(
    finished: epath.Path,
    new_tiny: Callable[[], ConfigDict],
    made_once: Callable[..., epath.Path],
) -> Path:
    """A folder with two runs as small as can be, `first` with pictures and `second` without."""

    def make(folder: epath.Path) -> None:
        shutil.copytree(finished, folder / "first")
        config = new_tiny()
        config.optimizer.learning_rate = 0.01  # HParams takes runs of the same for one
        config.summaries.times, config.model.stages = 0, 1
        train.train_and_evaluate(config, folder / "second")

    return Path(made_once("runs", make))


@pytest.fixture(scope="session")
def serve(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts TensorBoard with some arguments, waits until it has read all, and gives its URL."""

    @contextmanager
    def served(*arguments: str) -> Iterator[str]:
        said = tmp_path_factory.mktemp("tensorboard") / "said"
        command = [forks.python, "-m", "tensorboard.main", "--port=0", *arguments]
        with said.open("w") as out:
            server = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            while not (url := re.search(r"http://localhost:\d+", said.read_text())):
                assert server.poll() is None, said.read_text()
                time.sleep(0.2)
            before, now = None, _tags(url[0])
            while not now or now != before:
                time.sleep(0.3)
                before, now = now, _tags(url[0])
            yield url[0]
        finally:
            os.killpg(server.pid, signal.SIGKILL)  # with its data server
            server.wait(20)

    return served


def _tags(url: str) -> str:
    """Returns what TensorBoard at `url` has found so far, "" where that is nothing."""
    found = ""
    for plugin in ("scalars", "images", "histograms"):
        with urllib.request.urlopen(f"{url}/data/plugin/{plugin}/tags", timeout=60) as answer:
            tags = json.load(answer)
        found += json.dumps(tags, sort_keys=True) if tags else ""
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SCREENSHOTS.exists():
        terminalreporter.write_line(f"Screenshots: {SCREENSHOTS.relative_to(ROOT)}")
