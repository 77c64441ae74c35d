"""`radiograph profile` lists the dearest operations, and refuses in one sentence."""

from pathlib import Path

import pytest
from etils import epath

from tests.forks import Forks


def files(folder: epath.Path) -> dict[str, int]:
    return {str(file): file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()}


def test_operations_of_a_run_are_listed_and_its_trace_can_be_opened(
    forks: Forks, finished: epath.Path, tmp_path: Path
):
    out = tmp_path / "traced"
    before = files(finished)
    done = forks.run(
        *("-m", "trainer.commands.profile", finished, f"--out={out}", "--steps=2"),
        "--config.summaries.times=0",
    )
    assert done.returncode == 0, done.stderr
    heading, *rows, _, command = done.stdout.splitlines()
    assert heading.split() == ["operation", "times", "ms", "a", "step", "share"]
    shares = [float(row.split()[-1].rstrip("%")) for row in rows]
    assert len(rows) == 10 and shares == sorted(shares, reverse=True) and sum(shares) <= 100.1
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    assert f"scripts/tensorboard.sh {out} shows it in the tab Profile" in command
    assert len(list(out.glob("tensorboard/train/plugins/profile/*/*.xplane.pb"))) == 1
    assert files(finished) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "there is no run at"),
        ([], "RUN is missing: give RUN."),
        (["RUN", "--config=resnet"], "not both"),
        (["--config=resnet", "--steps=0"], "--steps"),
        (["--config=resnet"], "data.path"),
    ],
)
def test_what_cannot_be_traced_is_refused_in_one_sentence(
    forks: Forks, arguments: list[str], sentence: str
):
    done = forks.run("-m", "trainer.commands.profile", *arguments)
    assert done.returncode == 2 and sentence in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
