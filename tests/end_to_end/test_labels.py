"""From a table with several labels, some of them unknown, to a report of each."""

import csv
import json
from pathlib import Path

import pytest

from tests.forks import Forks
from trainer import train
from trainer.config import recipe
from trainer.data.synthetic import phantom

ROOT = Path(__file__).parents[2]
LABELS = ("Pneumonia", "Focal", "Rotated")


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
@pytest.mark.timeout(240)
def test_a_table_of_several_labels_becomes_a_report_of_each(
    forks: Forks, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / "images").mkdir()
    table = write_table(tmp_path / "images")
    prepared = forks.run(
        *(
            "-m",
            "trainer",
            "prepare",
            "--noaudit",
            f"--source={table}",
            f"--image_root={tmp_path / 'images'}",
        ),
        *("--path_column=file", "--patient_column=patient", f"--label_columns={','.join(LABELS)}"),
        *("--max_side=96", f"--out={tmp_path / 'data'}"),
    )
    assert prepared.returncode == 0, prepared.stderr
    config = recipe.read(str(ROOT / "configs/chestxray14.py"))
    small = {"data.path": str(tmp_path / "data"), "data.image_size": 32, "data.fit": "pad"}
    small |= {"augment.jit_compile": False, "distribute.strategy": "one_device"}
    small |= {"profile.flops": False}
    small |= {"summaries.times": 1, "model.width": 4, "model.stages": 2, "model.blocks": 1}
    config.update_from_flattened_dict(small | {"train.epochs": 1, "train.batch_size": 16})
    train.train_and_evaluate(config, tmp_path / "run")
    output = capsys.readouterr().out
    assert "mean over the labels" in output and all(label in output for label in LABELS)

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
