"""README's commands run one after the other, as a reader would give them, on small data."""

import os
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.sources.test_dicom_folder import dicom_file
from tests.forks import Forks
from tests.test_docs import BLOCK, COMMAND, ROOT
from trainer.data.synthetic import phantom

# The recipe that the commands name, made small; the last step of `replay --to=58` is kept.
RECIPE = """
from trainer.config.schema import default
from trainer.tuning.search_space import uniform

def get_config():
    config = default()
    config.name = "small"
    config.data.image_size = 32
    config.model.name = "resnet"
    config.model.width = 4
    config.model.stages, config.model.blocks = 1, 1
    config.train.epochs = 4
    config.train.batch_size = 4
    config.summaries.times = 1
    config.checkpoint.every_steps = 58
    config.checkpoint.keep = 9
    config.profile.flops = False
    return config

def sweep():
    return {"model.dropout": uniform(0.1, 0.5)}
"""
FEWER = {"--trials=8": "--trials=2", "--seeds=5": "--seeds=2"}  # the rest is as it is written
PROGRAM = """
import os, sys
from pathlib import Path
os.chdir(sys.argv.pop(1))
from trainer.config import recipe
recipe.FOLDER = Path("configs").absolute()
from trainer.__main__ import main
main()
"""


def commands() -> list[list[str]]:
    """Returns the arguments of README's commands, in order.

    Without those for a cloud, and without the server, which does not end by itself (tests/serve).
    """
    text = "".join(BLOCK.findall((ROOT / "README.md").read_text())).replace("\\\n", "")
    lines = [shlex.split(line, comments=True) for line in COMMAND.findall(text)]
    return [line for line in lines if line[0] not in ("submit", "jobs", "serve")]


def write_zip(file: Path, seed: int) -> None:
    """Writes radiographs of patients that no other seed has."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in phantom.archive(100, seed):
            archive.writestr(re.sub(r"(IM-|person)", rf"\g<1>{seed}", name), content)


@pytest.fixture
def run(forks: Forks, tmp_path: Path) -> Callable[[list[str]], str]:
    """Runs a command in a folder with the files that the commands name."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "resnet.py").write_text(RECIPE)
    write_zip(tmp_path / "chest_xray.zip", seed=1)
    write_zip(tmp_path / "other_hospital.zip", seed=2)
    (tmp_path / "FILE.dcm").write_bytes(dicom_file("P1", "1.1"))
    (tmp_path / "FOLDER").mkdir()
    for number, (_, content) in enumerate(phantom.archive(3, 3)):
        (tmp_path / "FOLDER" / f"{number}.jpeg").write_bytes(content)

    def run(arguments: list[str]) -> str:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        program = ("-c", PROGRAM, tmp_path, *arguments)
        done = forks.run(*program, environment=environment, timeout=500)
        assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    return run


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_readme_commands_run_in_order_as_they_are_written(run, tmp_path: Path):
    run(["prepare", "--source=other_hospital.zip", "--out=OTHER"])  # as docs/judge.md has it
    for line in commands():
        if line == ["report", "RUN1", "RUN2"]:
            for number in (1, 2):
                shutil.copytree(tmp_path / f"RUNS/trial-0{number}", tmp_path / f"RUN{number}")
        run([FEWER.get(argument, argument) for argument in line])
    left = ("audit.html", "RUN/report.html", "comparison.html", "RUN/images", "predictions.csv")
    left += ("RUN/evaluation/OTHER.json", "RUNS/sweep.json", "RUNS/seeds.json")
    assert [name for name in left if not (tmp_path / name).exists()] == []


def test_the_counts_that_are_made_smaller_are_those_of_readme():
    written = {argument for line in commands() for argument in line}
    assert written >= {*FEWER}
