"""A sweep runs trial after trial, is stopped, goes on, and says which trial was best."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from etils import epath
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from tests.forks import Forks
from trainer.config.schema import default
from trainer.data import summary_file
from trainer.system.errors import CannotWrite, Stopped, UsageError
from trainer.tuning import child_run, search_space, trials
from trainer.tuning.search_space import choice, uniform
from trainer.tuning.study import Study

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
SWEEP = {"model.dropout": uniform(0.0, 0.5), "model.blocks": choice(1, 2, 3)}

# Stands in for the Python that runs trainer.task: its AUC is 1 - dropout, and it can be told
# how trial 2 ends, and what it does before that.
TASK = """#!{python}
import json, os, pathlib, signal, sys, time
flags = dict(flag.lstrip("-").split("=", 1) for flag in sys.argv[3:])
folder = pathlib.Path(flags["workdir"])
(folder / "evaluation").mkdir(parents=True, exist_ok=True)
with open(folder / "started", "a") as file:
    file.write(json.dumps(flags) + "\\n")
auc = 1 - float(flags["config.model.dropout"])
rows = [dict(validation=dict(auc=auc - 0.25)), dict(validation=dict(auc=auc))]
if auc < float(os.environ.get("POOR", 0)):
    (folder / "history.json").write_text(json.dumps([dict(validation=dict(auc=0.1))] * 2))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    time.sleep(60)
(folder / "history.json").write_text(json.dumps(rows))
best = dict(epoch=2, auc=dict(value=auc))
(folder / "evaluation" / "validation.json").write_text(json.dumps(best))
if folder.name == "trial-02":
    {second}
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a task in place whose second trial does what is given."""

    def put(second: str = "pass") -> None:
        file = tmp_path / "task"
        file.write_text(TASK.format(python=PYTHON, second=second))
        file.chmod(0o755)
        monkeypatch.setattr(child_run.sys, "executable", str(file))

    put()
    return put


def run(runs: Path, count: int, ranges: search_space.Sweep = SWEEP, **fields: object) -> list[dict]:
    config = default()
    config.update_from_flattened_dict({"model.dropout": 0.125, **fields})
    return trials.run(config, ranges, task_flags=["--config=recipe.py"], workdir=runs, trials=count)


def starts(runs: Path) -> list[int]:
    """Returns how often each trial was started."""
    return [len(file.read_text().splitlines()) for file in sorted(runs.glob("*/started"))]


def written(runs: Path) -> dict:
    return json.loads((runs / "sweep.json").read_text())


def test_the_first_trial_is_the_config_itself_and_the_best_comes_first(task, tmp_path: Path):
    runs = tmp_path / "runs"
    rows = run(runs, 4)
    record = written(runs)
    assert [row["trial"] for row in record["trials"]] == [1, 2, 3, 4]
    assert record["trials"][0] == {
        "trial": 1,
        "values": {"model.blocks": 1, "model.dropout": 0.125},
        "validation_auc": 0.875,
        "epoch": 2,
        "pruned": False,
    }
    assert rows == sorted(record["trials"], key=lambda row: row["values"]["model.dropout"])
    assert record["sweep"] == {
        "model.blocks": "choice(1, 2, 3)",
        "model.dropout": "uniform(0.0, 0.5)",
    }
    (flags,) = map(json.loads, (runs / "trial-03" / "started").read_text().splitlines())
    values = record["trials"][2]["values"]
    assert flags["config.model.dropout"] == str(values["model.dropout"])
    assert flags["config"] == "recipe.py" and flags["workdir"] == str(runs / "trial-03")


def test_more_trials_are_those_that_one_command_would_have_had(task, tmp_path: Path):
    run(tmp_path / "runs", 3)
    before = written(tmp_path / "runs")["trials"]
    run(tmp_path / "runs", 7)
    run(tmp_path / "at_once", 7)
    after = written(tmp_path / "runs")["trials"]
    assert after[:3] == before and starts(tmp_path / "runs") == [1] * 7
    assert after == written(tmp_path / "at_once")["trials"]


def test_a_lost_or_damaged_journal_is_made_anew_and_nothing_trained_again(
    task, tmp_path: Path, capsys
):
    runs = tmp_path / "runs"
    run(runs, 3)
    before = written(runs)["trials"]
    (runs / "journal.jsonl").write_text('{"op_code":\n')
    run(runs, 4)
    assert "journal.jsonl was damaged" in capsys.readouterr().err
    (runs / "journal.jsonl").unlink()
    old = written(runs)
    for row in old["trials"]:
        del row["pruned"]  # as before there was a journal
    (runs / "sweep.json").write_text(json.dumps(old))
    run(runs, 5)
    assert written(runs)["trials"][:3] == before and starts(runs) == [1] * 5
    (runs / "sweep.json").write_text("{")
    run(runs, 5)
    assert len(written(runs)["trials"]) == 5 and starts(runs) == [1] * 5


def test_a_trial_below_the_median_is_stopped_and_comes_last(task, tmp_path: Path, monkeypatch):
    runs = tmp_path / "runs"
    run(runs, 4, **{"train.epochs": 4})
    monkeypatch.setattr(child_run, "ASK_SECONDS", 0.1)
    monkeypatch.setenv("POOR", "1")

    rows = run(runs, 5, **{"train.epochs": 4})

    assert rows[-1]["trial"] == 5 and rows[-1]["pruned"] and rows[-1]["epoch"] == 1
    assert not any(row["pruned"] for row in rows[:-1])
    assert "stopped" in trials.table(rows).splitlines()[-1]


def test_two_processes_share_the_trials(task, tmp_path: Path):
    runs = tmp_path / "runs"
    config = default()
    own = {"model.dropout": 0.125, "model.blocks": 1}
    runs.mkdir()

    def study() -> Study:
        return Study(epath.Path(runs), SWEEP, own=own, seed=0, begun=begun)

    begun = {"config": config.to_dict()}
    with study().claimed(3) as first:
        with study().claimed(3) as second:
            assert (first.number, second.number) == (1, 2)
            second.end(0.5, 1, pruned=False)
        with study().claimed(2) as third:
            assert third is None
    with study().claimed(2) as again:
        assert again.number == 1 and again.values == own
    assert [row["trial"] for row in study().rows()] == [2]


def test_a_trial_whose_loss_is_not_finite_is_noted_and_the_next_one_runs(task, tmp_path: Path):
    task("sys.exit(65)")
    rows = run(tmp_path / "runs", 3)
    assert rows[-1]["trial"] == 2 and rows[-1]["validation_auc"] is None
    assert {row["trial"] for row in rows} == {1, 2, 3}
    assert trials.table(rows).splitlines()[-1].split()[:3] == ["trial-02", "-", "-"]


@pytest.mark.parametrize(
    ("second", "code"), [("sys.exit(70)", 70), ("os.kill(os.getpid(), signal.SIGKILL)", 137)]
)
def test_any_other_failure_ends_the_sweep_with_its_code(task, tmp_path: Path, second, code):
    task(second)
    with pytest.raises(
        child_run.RunFailed, match=f"^trial 2 of 3 ended with exit code {code}"
    ) as e:
        run(tmp_path / "runs", 3)
    assert e.value.exit_code == code
    assert [row["trial"] for row in written(tmp_path / "runs")["trials"]] == [1]
    task()
    run(tmp_path / "runs", 3)
    assert starts(tmp_path / "runs") == [1, 2, 1]


@pytest.mark.parametrize("code", [0, 143])
def test_a_signal_is_passed_on_and_no_other_trial_begins(task, tmp_path: Path, code: int):
    caught = f"signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))"
    task(f"{caught}; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)")
    with pytest.raises(
        Stopped, match="by SIGTERM (in trial 2 of 3|before the next trial); the same"
    ):
        run(tmp_path / "runs", 3)
    ended = [row["trial"] for row in written(tmp_path / "runs")["trials"]]
    assert ended == ([1, 2] if code == 0 else [1])
    assert starts(tmp_path / "runs") == [1, 1]


def test_another_sweep_or_config_is_refused(task, tmp_path: Path):
    runs = tmp_path / "runs"
    run(runs, 1)
    with pytest.raises(UsageError, match=r"train\.epochs=20, not 3"):
        run(runs, 2, **{"train.epochs": 3})
    with pytest.raises(
        UsageError, match=r"model.blocks from choice\(1, 2, 3\), not from choice\(1, "
    ):
        run(runs, 2, SWEEP | {"model.blocks": choice(1, 2)})
    with pytest.raises(
        UsageError, match=r"train.ema from its own value, not from uniform\(0.0, 0.9"
    ):
        run(runs, 2, SWEEP | {"train.ema": uniform(0.0, 0.9)})
    with pytest.raises(UsageError, match=r"seed=0, not 1"):
        run(runs, 2, seed=1)
    assert starts(runs) == [1]


def test_other_data_are_refused_and_another_path_is_not(task, phantoms: epath.Path, tmp_path: Path):
    runs, moved = tmp_path / "runs", shutil.copytree(phantoms, tmp_path / "moved")
    run(runs, 1, **{"data.path": str(phantoms)})
    run(runs, 2, **{"data.path": str(moved)})
    summary_file.write(moved, summary_file.require(moved) | {"dataset_fingerprint": "other"})
    with pytest.raises(UsageError, match="moved is not the data set on which the sweep"):
        run(runs, 3, **{"data.path": str(moved)})


def test_a_mistake_that_the_first_trial_finds_can_be_mended(task, tmp_path: Path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(child_run.sys, "executable", "/bin/false")
        with pytest.raises(child_run.RunFailed, match="trial 1 of 2 ended with exit code 1"):
            run(tmp_path / "runs", 2, **{"train.batch_size": 7})
    assert len(run(tmp_path / "runs", 2, **{"train.batch_size": 8})) == 2


def test_a_folder_that_cannot_be_made_is_told(task, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"file/runs cannot be used \(Not a directory\)"):
        run(tmp_path / "file" / "runs", 1)


def test_columns_of_one_name_are_told_apart():
    values = {"model.name": "resnet", "model.width": 16, "optimizer.name": "adamw"}
    row = {"trial": 1, "values": values, "validation_auc": 0.5, "epoch": 3, "pruned": False}
    head, line = trials.table([row]).splitlines()
    assert head.split()[-3:] == ["model.name", "width", "optimizer.name"]
    assert line.split() == ["trial-01", "0.5000", "3", "resnet", "16", "adamw"]


def tune(runs: Path, *flags: str) -> list[str]:
    return [PYTHON, "-m", "trainer", "tune", f"--workdir={runs}", *flags]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config=configs/article.py"], r"configs/article.py has no sweep()"),
        (["--config=demo"], "--config.data.path is missing"),  # its sweep is found by its name
        (["--config=configs/demo.py", "--trials=0"], "flag --trials=0"),
        (["--config=configs/demo.py", "--config.train.epoch=3"], "did you mean 'train.epochs'"),
        ([], "--config is missing"),
    ],
)
def test_a_mistake_in_the_flags_gets_one_sentence(tmp_path: Path, flags: list[str], message: str):
    done = subprocess.run(tune(tmp_path / "runs", *flags), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr and not (tmp_path / "runs").exists()


RECIPE = """
from trainer.config.schema import default
from trainer.tuning.search_space import choice, uniform

def get_config():
    config = default()
    config.data.image_size = 32
    config.augment.jit_compile = False
    config.model.width, config.model.stages, config.model.blocks = 4, 1, 1
    config.train.batch_size = 8
    config.distribute.strategy = "one_device"
    config.summaries.times, config.profile.flops = 0, False
    return config

def sweep():
    return {"optimizer.learning_rate": choice(1e-3, 1e30), "model.dropout": uniform(0.1, 0.5)}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_sweep_is_stopped_goes_on_and_shows_in_hparams(
    forks: Forks, phantoms: epath.Path, tmp_path: Path
):
    recipe, runs = tmp_path / "recipe.py", tmp_path / "runs"
    recipe.write_text(RECIPE)
    data, epochs = f"--config.data.path={phantoms}", "--config.train.epochs=2"
    _, *arguments = tune(runs, f"--config={recipe}", data, epochs, "--config.seed=14", "--trials=3")
    command = [forks.python, *arguments]

    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (runs / "trial-02" / "config.json").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    _, message = first.communicate(timeout=300)
    assert first.returncode == 143, message
    assert message.decode().splitlines()[-1] == (
        "stopped: by SIGTERM in trial 2 of 3; the same command goes on from there."
    )
    before = written(runs)
    assert [row["trial"] for row in before["trials"]] == [1]
    history = (runs / "trial-01" / "history.json").stat().st_mtime_ns

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (runs / "trial-01" / "history.json").stat().st_mtime_ns == history
    rows = {row["trial"]: row for row in written(runs)["trials"]}
    rates = [rows[number]["values"]["optimizer.learning_rate"] for number in (2, 3)]
    assert rates == [1e-3, 1e30]  # the third trial diverges
    assert rows[1] == before["trials"][0]
    assert rows[3]["validation_auc"] is None and "trial 3 of 3: its loss became" in done.stdout
    for number in (1, 2):
        epochs = json.loads((runs / f"trial-0{number}" / "history.json").read_text())
        best = max(row["validation"]["auc"] for row in epochs)
        assert rows[number]["validation_auc"] == pytest.approx(best, abs=1e-12)
    by_auc = sorted((1, 2), key=lambda number: -rows[number]["validation_auc"])
    table = done.stdout.split("\n\n")[-2].splitlines()[-3:]
    assert [line.split()[0] for line in table] == [f"trial-0{number}" for number in (*by_auc, 3)]
    assert "test split" not in done.stdout and "sensitivity" not in done.stdout
    assert done.stdout.endswith(f"HParams: scripts/tensorboard.sh {runs}\n")

    for session, values, metrics in _sessions(runs):
        number = int(session.removeprefix("trial-").partition("/")[0])
        for path, value in rows.pop(number)["values"].items():
            assert values[path] == value
        if number != 3:
            epochs = json.loads((runs / f"trial-0{number}" / "history.json").read_text())
            auc = epochs[-1]["validation"]["auc"]
            assert metrics["metrics/auc"] == pytest.approx(auc, abs=1e-6)
            assert "test_of_kept_epoch/auc" in metrics
    assert not rows, "each trial is a session of HParams"


def _sessions(runs: Path) -> list[tuple[str, dict, dict]]:
    """Returns name, hyperparameters and metrics of each session, as HParams finds them."""
    events = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(runs))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(runs))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    statuses = api_pb2.Status.values()
    asked = api_pb2.ListSessionGroupsRequest(slice_size=100, allowed_statuses=statuses)
    found = list_session_groups.Handler(RequestContext(), context, "", asked).run()
    return [
        (
            session.name,
            # A number before a name says where its column is.
            {name.split()[-1]: value.number_value for name, value in group.hparams.items()},
            {metric.name.tag: metric.value for metric in session.metric_values},
        )
        for group in found.session_groups
        for session in group.sessions
    ]
