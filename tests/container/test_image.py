"""The image is really built, and the job in it trains, stops and goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from etils import epath

import trainer
from tests.container import debian
from tests.container.engine import MOUNT, Engine, Image, mounted
from trainer.data.synthetic import phantom
from trainer.system import environment

ROOT = Path(__file__).parents[2]
BASE = "localhost/debian"
LABEL = "org.opencontainers.image."
TASK = [
    *("--config=configs/demo.py", f"--config.data.path={MOUNT}/data", f"--workdir={MOUNT}/run"),
    *("--config.data.image_size=32", "--config.model.width=4", "--config.train.epochs=30"),
    *("--config.augment.jit_compile=false", "--config.model.stages=1"),
    *("--config.train.batch_size=8", "--config.summaries.times=0", "--config.profile.flops=false"),
]

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Where images are built, on a plain Debian."""
    missing = [tool for tool in ("buildah", "debootstrap", "unshare") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if (
        os.geteuid() != 0
        or subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"]).returncode
    ):
        pytest.skip("needs root that may make namespaces")
    source = debian.suite_and_mirror()
    if source is None:
        pytest.skip("needs a Debian, whose apt has a mirror of it")
    engine = Engine(tmp_path_factory.mktemp("engine"))
    try:
        debian.build(engine, BASE, *source)
        debian.write_pip_configuration(engine.folder / "pip.conf")
        yield engine
    finally:
        engine.close()


def built(engine: Engine, name: str, *arguments: str) -> Image:
    """Returns what scripts/build_image.sh builds for CPUs."""
    asked = {
        "ACCELERATOR": "cpu",
        "BUILDER": "buildah",
        "BASE_IMAGE": BASE,
        "PIP_CONFIG_FILE": str(engine.folder / "pip.conf"),
    }
    done = subprocess.run(
        [ROOT / "scripts/build_image.sh", *arguments],
        env=engine.environment | asked,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{name}:{trainer.__version__}-cpu\n"
    return mounted(engine, done.stdout.strip())


@pytest.fixture(scope="module")
def image(engine: Engine) -> Image:
    return built(engine, "radiograph-trainer")


@pytest.fixture(scope="module")
def server(engine: Engine, image: Image) -> Image:
    """The server's image, whose dependencies are built on those of the job's."""
    del image
    return built(engine, "radiograph-serve", "--serve")


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A folder that the image's user may write."""
    folder = tmp_path / "mount"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    return folder


def test_the_image_tells_what_it_is_and_how_it_is_run(image: Image):
    config = image.config
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["python", "-m", "trainer.task"]
    assert list(config["Volumes"]) == ["/tmp"]
    assert config["Labels"][f"{LABEL}version"] == trainer.__version__
    assert f"{environment.COMMIT}={config['Labels'][f'{LABEL}revision']}" in config["Env"]


def test_the_image_holds_the_job_and_nothing_of_its_making(
    image: Image, capsys: pytest.CaptureFixture
):
    with capsys.disabled():
        print(f"\nthe image for CPUs has {image.size / 1e9:.2f} GB")
    inside = {path.name for path in (image.root / "opt").iterdir()}
    assert inside == {"venv", "trainer"}
    inside = {path.name for path in (image.root / "opt/trainer").iterdir()}
    info = f"radiograph_trainer-{trainer.__version__}.dist-info"
    assert inside == {"bin", "trainer", "configs", info}  # radiograph is in bin
    (packages,) = (image.root / "opt/venv/lib").glob("python3*/site-packages")
    assert not (packages / "pip").exists() and not (image.root / "etc/pip.conf").exists()
    for left in ("src", "tmp", "root/.cache", "var/cache/apt", "var/lib/apt/lists"):
        folder = image.root / left
        assert not folder.exists() or not list(folder.iterdir()), left
    for folder in (packages / "keras/src", image.root / "opt/trainer/trainer"):
        sources = {file.stem for file in folder.glob("*.py")}
        compiled = {file.name.split(".")[0] for file in folder.glob("__pycache__/*.pyc")}
        assert sources and compiled == sources  # else every start would compile them again


def test_the_job_trains_on_a_read_only_root_stops_and_goes_on(image: Image, mount: Path):
    places = ["/x", "/opt/trainer/x", "/usr/x"]
    refused = image.start(mount, "touch", f"{MOUNT}/allowed", "/tmp/allowed", *places)
    assert refused.wait() == 1
    assert refused.output.read_text().count("Read-only file system") == len(places)
    assert (mount / "allowed").stat().st_uid == 10001

    prepare = ["python", "-m", "trainer", "prepare", "--source=phantom:120", "--noaudit"]
    prepared = image.start(mount, *prepare, f"--out={MOUNT}/data")
    assert prepared.wait() == 0, prepared.output.read_text()

    stopped = image.start(mount, *TASK)
    while "  1/30" not in stopped.output.read_text() and stopped.running():
        time.sleep(0.1)
    stopped.send(signal.SIGTERM)
    assert stopped.wait() == 143, stopped.output.read_text()
    said = stopped.output.read_text()
    assert "stopped: by SIGTERM" in said and "Traceback" not in said
    assert "30/30" not in said

    resumed = image.start(mount, *TASK)
    assert resumed.wait() == 0, resumed.output.read_text()
    said = resumed.output.read_text()
    assert "going on at step" in said and "30/30" in said
    assert (mount / "run/report.html").stat().st_uid == 10001
    recorded = json.loads((mount / "run/environment.json").read_text())
    assert recorded["git_commit"] == (image.config["Labels"][f"{LABEL}revision"] or None)


def test_the_job_ends_at_once_where_it_is_stopped_before_it_has_begun(
    image: Image, mount: Path, phantoms: epath.Path
):
    shutil.copytree(phantoms, mount / "data").chmod(0o755)
    stopped = image.start(mount, *TASK)
    while stopped.running():
        stopped.send(signal.SIGTERM)  # over and over: Python itself takes a moment to begin
        time.sleep(0.1)
    assert stopped.wait() == 143
    assert stopped.output.read_text() == ""


def test_a_mistake_has_its_exit_code_and_its_sentence(image: Image, mount: Path):
    refused = image.start(mount, *TASK[:3], "--config.train.epoch=3")
    assert refused.wait() == 2
    said = refused.output.read_text()
    assert "did you mean 'train.epochs'" in said and "Traceback" not in said


def test_the_server_answers_on_a_read_only_root_and_ends_in_order(
    server: Image, mount: Path, lungs: epath.Path, capsys: pytest.CaptureFixture
):
    with capsys.disabled():
        print(f"\nthe server's image has {server.size / 1e9:.2f} GB")
    assert server.config["User"] == "10001:10001"
    shutil.copytree(lungs, mount / "export").chmod(0o755)
    running = server.start(mount, f"{MOUNT}/export", "--port=0")
    while not (found := re.search(r"http://0.0.0.0:(\d+)", running.output.read_text())):
        assert running.running(), running.output.read_text()
        time.sleep(0.2)
    url = f"http://127.0.0.1:{found[1]}"
    (_, radiograph), *_ = phantom.archive(1)
    answer = httpx.post(f"{url}/v1/radiographs?heat=1", files={"file": radiograph}, timeout=60)
    (row,) = answer.json()["radiographs"]
    assert row["decision"] in ("NORMAL", "PNEUMONIA") and row["heat"]
    assert "viewer.js" in httpx.get(f"{url}/page.js").text  # the page is in the package
    kind, *health = server.config["Healthcheck"]["Test"]
    check = [sys.executable, *(word.replace("8501", found[1]) for word in health[1:])]
    assert kind == "CMD" and subprocess.run(check, timeout=60).returncode == 0
    running.send(signal.SIGTERM)
    assert running.wait() == 143, running.output.read_text()
    assert subprocess.run(check, timeout=60, capture_output=True).returncode == 1
