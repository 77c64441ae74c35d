"""What can be refused without TensorFlow is refused before it is imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOW = (
    "tensorflow",
    "keras",
    "matplotlib",
    "sklearn",
    "pydicom",
    "requests",
    "google.cloud.storage",
)
PROGRAM = f"""
import sys
from trainer.__main__ import main
try:
    main()
finally:
    print(*{{*sys.modules}} & {{*{SLOW}}})
"""


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("prepare --source=nothing --out=OUT", "--source=nothing does not exist"),
        ("audit --source=nothing", "--source=nothing does not exist"),
        ("train --config=resnet --workdir=RUN", "--config.data.path is missing"),
        ("train --config=resnet --config.data.path=nothing --workdir=RUN", "--config.data.path=no"),
        ("tune --config=demo --config.data.path=nothing --workdir=RUNS", "--config.data.path=no"),
        ("tune --config=pretrain --workdir=RUNS", "radiograph tune compares runs by what they"),
        ("launch -- --config=demo --config.data.path=nothing --workdir=RUN", "--config.data.path"),
        ("launch -- --config=demo", "--workdir is missing"),
        ("evaluate nothing --data=nothing", "there is no run at nothing"),
        ("predict nothing image.png --out=OUT.csv", "there is no run at nothing"),
        ("seeds --config=demo --config.data.path=nothing --workdir=RUNS", "--config.data.path=no"),
        ("replay nothing", "there is no run at nothing"),
        ("export nothing --out=OUT", "there is no run at nothing"),
        ("export nothing --out=OUT --format=keras --similar=9", "--similar=9 is for saved_model"),
        ("serve nothing", "nothing holds no export"),
        ("serve . --token_file=nothing", "--token_file=nothing cannot be read"),
        ("report nothing", "there is no run at nothing"),
        ("report nothing --image=nothing.png", "--image=nothing.png does not exist"),
        (
            "submit --config=demo --data=nothing --workdir=gs://bucket/run --accelerator=cpu",
            "--data=nothing holds no prepared data set",
        ),
        ("submit --config=demo --workdir=RUN --accelerator=cpu", "'RUN' is not in a bucket"),
    ],
)
def test_it_is_refused_before_what_takes_long_is_imported(
    tmp_path: Path, command: str, sentence: str
):
    program = [sys.executable, "-c", PROGRAM, *command.split()]
    done = subprocess.run(
        program, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ") and sentence in done.stderr
    assert done.stdout == "\n" and not [*tmp_path.iterdir()]
