"""The launcher's command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from trainer.checkpoint import checkpoint
from trainer.commands import launch

ROOT = Path(__file__).parents[2]


def test_the_task_is_told_its_strategy_and_devices(monkeypatch: pytest.MonkeyPatch):
    task = [sys.executable, "-m", "trainer.task", "--config=c.py"]
    given = "--config.distribute.strategy=mirrored"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices = "--config.distribute.cpu_devices=2"
    strategy = "--config.distribute.strategy=multi_worker"
    assert launch.task_command(["--config=c.py"], 2) == [*task, strategy, devices]
    assert launch.task_command(["--config=c.py", given], 2) == [*task, given, devices]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert launch.task_command(["--config=c.py"], 2) == [*task, strategy]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=2"], "radiograph launch --workers=2 -- --config="),
        (["--workers=2", "--"], "the flags of the task are missing after --"),
        (["--config=c.py"], "'--config=c.py' is not a flag of the launcher"),
        (["--worker=2", "--", "--config=c.py"], "'--worker=2' is not a flag of the launcher"),
        (["--workers=65", "--", "--config=c.py"], "65 is not an integer in the range [1, 64]"),
        (["--workers=0", "--", "--config=c.py"], "0 is not an integer in the range [1, 64]"),
        (["--", "--config.distribute.cpu_devices=2"], "give --devices before -- instead"),
    ],
)
def test_a_mistake_in_the_flags_gets_one_sentence(arguments: list[str], message: str):
    command = [sys.executable, "-m", "trainer", "launch", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_the_flags_say_what_is_launched(tmp_path: Path):
    told = """
from trainer.commands import launch, program
from trainer.commands.command import Command
launch.run_checks.check = lambda *_: None
launch.launch = lambda command, **options: print(
    command[2:4], *list(options.values())[:4], options["newest_checkpoint"]()
) or 75
program.run(launch.main, Command(), launch.parse_flags)
"""
    own = ["--workers=3", "--devices=2", "--max_restarts=4", "--grace_seconds=5"]
    command = [sys.executable, "-c", told, *own, "--", "--config=demo"]
    command += ["--workdir", tmp_path, "--", "--workers=9"]
    for folder in ("step-000000012-epoch-000001", "step-000000007-epoch-000000"):
        (tmp_path / "checkpoints" / folder).mkdir(parents=True)
        (tmp_path / "checkpoints" / folder / checkpoint.MANIFEST).touch()
    (tmp_path / "checkpoints/step-000000013-epoch-000001").mkdir()  # half a checkpoint
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    launched = "['trainer.task', '--config=demo'] 3 2 4 5.0 step-000000012-epoch-000001\n"
    assert done.stdout == launched, done.stderr
    assert done.returncode == 75
