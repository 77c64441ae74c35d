"""MLflow and W&B keep each step once, with libraries that reach no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from trainer.show import mlflow_tracker, wandb_file
from trainer.show.tracker import Description, Point

ROOT = Path(__file__).parents[2]
LABEL = "validation/metrics_by_label/auc/Pleural (any)"

# As a process that is killed leaves them; W&B has one run in a process.
OFFLINE = """
import socket, sys
from pathlib import Path
from etils import epath
from tests.show.test_trackers import described, points
from trainer.show.wandb_tracker import WandbTracker

connect = socket.socket.connect
def local_only(self, address):
    assert not isinstance(address, tuple) or address[0] == "127.0.0.1", address
    return connect(self, address)
socket.socket.connect = local_only
tracker, workdir = WandbTracker("project"), epath.Path(sys.argv[1])
print(tracker.begin(described(workdir)))
tracker.log(0, points(int(sys.argv[2])))
tracker.files(Path(workdir), ["report.html"])
tracker.end(None) if sys.argv[3:] else os._exit(9)
"""


def described(workdir: epath.Path, epochs: int = 2) -> Description:
    tags = {"command": "radiograph train", "git_commit": "abc", "dataset_fingerprint": "f"}
    return Description("runs/first", workdir, {"train.epochs": epochs}, tags, 0, True)


def points(count: int) -> list[Point]:
    return [
        Point(3 * n, 1e9 + n, {"train/metrics/loss": 1 / (n + 1), LABEL: 0.5}) for n in range(count)
    ]


@pytest.fixture
def workdir(tmp_path: Path) -> epath.Path:
    (tmp_path / "report.html").write_text("report")
    return epath.Path(tmp_path)


def test_mlflow_goes_on_in_the_same_run_and_has_each_step_once(
    workdir: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for epochs, count in ((2, 3), (5, 6)):
        tracker = mlflow_tracker.MlflowTracker(f"file://{workdir}/mlruns", "experiment")
        assert "mlflow ui --backend-store-uri=file://" in tracker.begin(described(workdir, epochs))
        tracker.log(0, points(count))
        tracker.files(Path(workdir), ["report.html"])
        tracker.end(KeyboardInterrupt() if epochs == 2 else None)
    client = tracker._client
    (run,) = client.search_runs([client.get_experiment_by_name("experiment").experiment_id])
    history = client.get_metric_history(run.info.run_id, "train/metrics/loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (point.step, point.values["train/metrics/loss"]) for point in points(6)
    ]
    assert "validation/metrics_by_label/auc/Pleural _any_" in run.data.metrics
    assert run.data.params == {"train.epochs": "2"} and run.info.status == "FINISHED"
    assert run.data.tags["changed.train.epochs"] == "5"
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wandb_offline_goes_on_after_what_was_written_before_it_was_killed(workdir: epath.Path):
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    for count, *ends in ((3,), (6, "ends")):
        program = [sys.executable, "-c", f"import os\n{OFFLINE}", workdir, str(count), *ends]
        done = subprocess.run(program, env=environment, capture_output=True, text=True)
        assert done.returncode == (0 if ends else 9), done.stderr
    assert done.stdout.startswith(f"wandb sync {workdir}/wandb/offline-run-")
    files = sorted(Path(workdir).glob("wandb/offline-run-*/*.wandb"))
    numbers = [[number for number, _ in wandb_file.points(file)] for file in files]
    assert numbers == [[0, 1, 2], [3, 4, 5]] and len({file.name for file in files}) == 1
    found = dict(point for file in files for point in wandb_file.points(file))
    for number, point in enumerate(points(6)):
        assert found[number]["step"] == point.step
        assert {name: found[number][name] for name in point.values} == point.values
    assert list(files[1].parent.glob("files/report.html"))


def test_records_are_read_over_the_blocks_of_a_file_and_up_to_where_it_was_cut(tmp_path: Path):
    block, header = wandb_file.BLOCK, wandb_file.HEADER
    room = block - wandb_file.BEGIN - 3 * header.size - 6  # leaves no room for another header
    parts = [(1, b"a" * 3), (2, b"b" * room), (4, b"c" * 5), (1, b"d" * 9)]
    content = bytearray(b"." * wandb_file.BEGIN)
    for kind, part in parts:
        if block - len(content) % block < header.size:
            content += b"\0" * (block - len(content) % block)
        content += header.pack(0, len(part), kind) + part
    whole = [b"aaa", b"b" * room + b"ccccc", b"d" * 9]
    assert list(wandb_file._records(bytes(content))) == whole
    assert list(wandb_file._records(bytes(content[:-1]))) == whole[:2]
