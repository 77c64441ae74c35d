"""From a table with several labels, some of them unknown, to a report of each."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.data.synthetic import phantom

ROOT = Path(__file__).parents[2]
LABELS = ("Pneumonia", "Focal", "Rotated")


def python(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_table(folder: Path) -> Path:
    """Writes phantoms and a table of them: blank where a label is not known."""
    rows = []
    for number, (name, jpeg) in enumerate(phantom.archive(120)):
        file = f"{number:04d}.jpeg"
        (folder / file).write_bytes(jpeg)
        sick = "PNEUMONIA" in name
        values = [int(sick), "" if number % 5 == 0 else int("bacteria" in name), number % 2]
        rows.append([file, number // 2, *values])
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["file", "patient", *LABELS], *rows])
    return table


@pytest.mark.slow
def test_a_table_of_several_labels_becomes_a_report_of_each(tmp_path: Path):
    (tmp_path / "images").mkdir()
    table = write_table(tmp_path / "images")
    python(
        *("trainer", "prepare", f"--source={table}", f"--image_root={tmp_path / 'images'}"),
        *("--path_column=file", "--patient_column=patient", f"--label_columns={','.join(LABELS)}"),
        *("--max_side=96", f"--out={tmp_path / 'data'}"),
    )
    small = {"data.path": tmp_path / "data", "data.image_size": 32, "data.fit": "pad"}
    small |= {"model.width": 4, "model.blocks": 1, "train.epochs": 2, "train.batch_size": 16}
    said = python(
        *("trainer.task", f"--config={ROOT}/configs/chestxray14.py"),
        *(f"--config.{name}={value}" for name, value in small.items()),
        f"--workdir={tmp_path / 'run'}",
    )
    assert "mean over the labels" in said and all(label in said for label in LABELS)

    result = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert list(result["labels"]) == list(LABELS)
    known = {name: of["positive"] + of["negative"] for name, of in result["labels"].items()}
    assert known["Pneumonia"] == known["Rotated"] == result["images"] > known["Focal"]
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert set(history[-1]["validation"]["labels"]) == set(LABELS)
    page = (tmp_path / "run/report.html").read_text()
    assert all(f"<td>{label}</td>" in page for label in LABELS)
    pictures = tmp_path / "run/pictures/test"
    for label in LABELS:
        assert len(list((pictures / label).glob("*.png"))) == 5
    assert list((pictures / "activations").glob("*.png")) and (pictures / "errors.png").exists()
