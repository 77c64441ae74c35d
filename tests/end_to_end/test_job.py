"""The whole job, as a user starts it: trains, is killed, goes on, is evaluated, and refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import checkpoint, train
from trainer.entry import Refusal

ROOT = Path(__file__).parents[2]
TINY = [
    "--config.data.image_size=32",
    "--config.model.width=4",
    "--config.model.dropout=0.3",
    "--config.train.epochs=3",
    "--config.train.batch_size=8",
    "--config.distribute.strategy=one_device",
    "--config.checkpoint.every_steps=3",
]


def job(data: epath.Path, workdir: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "trainer.task", f"--config={ROOT}/configs/resnet.py"),
        *(f"--config.data.path={data}", f"--workdir={workdir}", *TINY, *flags),
    ]


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def final_variables(workdir: Path) -> dict[str, np.ndarray]:
    newest = checkpoint.newest(epath.Path(workdir) / "checkpoints")
    reader = tf.train.load_checkpoint(str(newest / "variables"))
    names = reader.get_variable_to_shape_map()
    return {n: reader.get_tensor(n) for n in names if n.startswith("variables/")}


def history(workdir: Path) -> list[dict]:
    """The history without its timings."""
    rows = json.loads((workdir / "history.json").read_text())
    for row in rows:
        del row["seconds"], row["train"]["images_per_second"], row["train"]["input_wait"]
    return rows


@pytest.mark.slow
@pytest.mark.skip(reason="open: passed once, then the weights differed; see the issue")
def test_a_killed_run_arrives_at_the_same_weights_bit_for_bit(phantoms: epath.Path, tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished = run(*job(phantoms, whole))
    assert finished.returncode == 0, finished.stderr
    epoch_steps = json.loads((whole / "history.json").read_text())[0]["step"]
    middle = epoch_steps + 4  # past the first step-3 checkpoint of the second epoch

    killed = subprocess.Popen(
        job(phantoms, broken), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while killed.poll() is None:
        newest = checkpoint.newest(epath.Path(broken) / "checkpoints")
        if newest and int(newest.name.removeprefix("step-")) >= middle:
            killed.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert killed.wait() == -signal.SIGKILL
    stopped_at = int(checkpoint.newest(epath.Path(broken) / "checkpoints").name[5:])
    assert stopped_at % epoch_steps, "it was to be killed in mid-epoch"

    resumed = run(*job(phantoms, broken))
    assert f"going on at step {stopped_at}" in resumed.stdout, resumed.stderr
    ours, theirs = final_variables(whole), final_variables(broken)
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)
    assert history(broken) == history(whole)
    scores = "evaluation/test.csv"
    assert (broken / scores).read_text() == (whole / scores).read_text()


@pytest.fixture(scope="module")
def finished(phantoms: epath.Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("finished")
    result = run(*job(phantoms, workdir))
    assert result.returncode == 0, result.stderr
    (workdir / "stdout").write_text(result.stdout)
    return workdir


def test_a_run_says_what_it_does_and_where_its_results_are(finished: Path):
    said = (finished / "stdout").read_text()
    for words in ("OneDevice on CPU:0", "epoch   3/3", "images/s", "AUC", "report.html"):
        assert words in said
    assert "scripts/tensorboard.sh" in said


def test_a_run_leaves_what_the_design_names(finished: Path):
    for name in (
        *("config.json", "environment.json", "data_summary.json", "history.json", "report.html"),
        *("evaluation/test.json", "evaluation/test.csv", "evaluation/validation.json"),
        *("pictures/sample_sheet.png", "pictures/augmented.png"),
    ):
        assert (finished / name).stat().st_size > 0, name
    assert len(checkpoint.complete(epath.Path(finished) / "checkpoints")) == 3
    assert len(checkpoint.complete(epath.Path(finished) / "best")) == 1


def test_the_best_epoch_by_validation_auc_is_the_one_evaluated(finished: Path):
    rows = json.loads((finished / "history.json").read_text())
    best = max(rows, key=lambda row: (row["validation"]["auc"], -row["validation"]["loss"]))
    for split in ("validation", "test"):
        result = json.loads((finished / f"evaluation/{split}.json").read_text())
        assert result["epoch"] == best["epoch"]
    validation = json.loads((finished / "evaluation/validation.json").read_text())
    assert validation["auc"]["value"] == pytest.approx(best["validation"]["auc"])
    assert validation["loss"] == pytest.approx(best["validation"]["loss"], rel=1e-4)


def test_tensorboard_finds_both_curves_under_the_same_tags(finished: Path):
    def events(part: str) -> EventAccumulator:
        return EventAccumulator(str(finished / "tensorboard" / part), {"tensors": 0}).Reload()

    shared = {"loss", "accuracy", "auc", "sensitivity", "specificity"}
    train_tags = set(events("train").Tags()["tensors"])
    assert shared <= train_tags and shared <= set(events("validation").Tags()["tensors"])
    rates = {f"training/{n}" for n in ("learning_rate", "images_per_second", "input_wait")}
    assert rates | {"samples", "augmented", "model", "config"} <= train_tags
    layers = [tag for tag in train_tags if tag.startswith("activations/")]
    assert len(layers) == 13  # stem, its pooling, and 11 convolutions in blocks
    steps = [event.step for event in events("train").Tensors(layers[0])]
    ends = [row["step"] for row in json.loads((finished / "history.json").read_text())]
    assert steps == [0, *ends]


def test_a_finished_run_is_only_evaluated_again(phantoms: epath.Path, finished: Path):
    weights = final_variables(finished)
    result = json.loads((finished / "evaluation/test.json").read_text())
    again = run(*job(phantoms, finished))
    assert again.returncode == 0 and "epoch   1/3" not in again.stdout
    assert json.loads((finished / "evaluation/test.json").read_text()) == result
    for name, value in final_variables(finished).items():
        np.testing.assert_array_equal(weights[name], value)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--config.train.epoch=3", "did you mean 'train.epochs'"),
        ("--config.train.epochs=none", "train.epochs='none' is not allowed"),
        ("--config.data.path=/nowhere", "trainer.data.prepare"),
        ("--config.seed=5", "begun with seed=0, not 5"),
        ("surplus", "unexpected argument 'surplus'"),
    ],
)
def test_a_users_mistake_gets_one_sentence(
    phantoms: epath.Path, finished: Path, flag: str, said: str
):
    result = run(*job(phantoms, finished, flag))
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error:")]) == 1


def test_a_loss_that_is_not_finite_stops_the_run(tiny: ConfigDict, tmp_path: Path):
    tiny.optimizer.name, tiny.optimizer.learning_rate = "sgd", 1e30
    tiny.optimizer.clip_norm = 0.0
    with pytest.raises(Refusal) as refusal:
        train.train_and_evaluate(tiny, tmp_path / "run")
    for words in ("loss is", "at step", "learning rate", "last good checkpoint is"):
        assert words in str(refusal.value)
    assert not (tmp_path / "run/report.html").exists()


def test_the_article_network_trains_without_a_cache(tiny: ConfigDict, tmp_path: Path):
    tiny.model.name, tiny.model.channels = "article", 3
    tiny.data.image_size, tiny.data.cache = 48, "none"
    tiny.train.epochs = 1
    result = train.train_and_evaluate(tiny, tmp_path / "run")
    assert (
        result["images"]
        == json.loads((tmp_path / "run/evaluation/test.json").read_text())["images"]
    )
    assert (tmp_path / "run/pictures/activations/08_pool4.png").exists()
