"""The best epoch is evaluated with its own weights; what is not finite ends the run."""

from types import SimpleNamespace

import numpy as np
import pytest
from etils import epath

from trainer import train
from trainer.checkpoint.saver import NoSaver
from trainer.config import schema
from trainer.metrics import evaluation_files, operating_points
from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.system.errors import NotFinite
from trainer.training.progress import Progress
from trainer.training.step import LoopResult

LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1], np.float32)[:, None]


def scores(logits: list[float]) -> Scores:
    return Scores(np.array(logits, np.float32)[:, None], LABELS, np.ones(len(LABELS), np.float32))


SCORES = {
    "validation": scores([-1, 2, 3, 1, 0.5, 4, -2, 2.5]),
    "test": scores([-9, -8, 0.2, 9, -7, -0.3, -9, 8]),
}


AUGMENTED = SCORES["validation"]._replace(logits=SCORES["validation"].logits + 1)


class EndLog(Logger):
    def end(self, evaluation):
        self.evaluation = evaluation


@pytest.fixture
def evaluated(tmp_path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `evaluate_chosen` writes, logs and restores; the network is a table of scores."""
    found = SimpleNamespace(written={}, restored=[], log=EndLog())
    progress = Progress(step=9, history=[{}, {}, {}], best={"step": 6, "epoch": 2})
    split = SimpleNamespace(labels=["SICK"], classes=["WELL", "SICK"])
    run = SimpleNamespace(
        workdir=epath.Path(tmp_path),
        checkpoints=epath.Path(tmp_path) / "checkpoints",
        config=schema.default(),
        data=SimpleNamespace(splits=dict.fromkeys((*SCORES, "train"), split)),
        replicas=SimpleNamespace(is_chief=True, barrier=lambda: None),
        state=SimpleNamespace(variables=dict, averaged=None),
        scores=SCORES.__getitem__,
        augmented_scores=lambda split: AUGMENTED,
    )
    names = [str(number) for number in range(len(LABELS))]
    monkeypatch.setattr(train.examples, "identities", lambda split: (names, names))
    monkeypatch.setattr(train.checkpoint, "restore", lambda *given: found.restored.append(given[0]))
    monkeypatch.setattr(train.run_page, "write", lambda *given: "report.html")
    for module in (train.gate, train.learnt_images, train.model_card):
        monkeypatch.setattr(module, "write", lambda *given: None)
    found.result = train.evaluate_chosen(run, progress, found.log, saver=NoSaver())
    found.written = {name: evaluation_files.read(run.workdir, name) for name in SCORES}
    return found


def test_thresholds_and_temperatures_are_those_of_validation(evaluated: SimpleNamespace):
    validation, test = (operating_points.choose(SCORES[name], AUGMENTED) for name in SCORES)
    assert validation.temperatures != pytest.approx(test.temperatures, rel=0.1)
    for name in SCORES:
        label = evaluated.written[name]["labels"]["SICK"]
        assert label["calibration"]["temperature"] == pytest.approx(validation.temperatures[0])
        thresholds = {point["name"]: point["logit"] for point in label["operating_points"]}
        chosen = {name: values[0] for name, values in validation.thresholds.items()}
        assert thresholds == pytest.approx(chosen)
    assert evaluated.log.evaluation.points == validation


def test_checkpoint_of_the_best_epoch_is_restored(evaluated: SimpleNamespace):
    assert [folder.name for folder in evaluated.restored] == ["step-000000006-epoch-000002"]
    assert evaluated.result["epoch"] == 2 and evaluated.result["split"] == "test"


def test_balanced_weights_are_those_of_negative_and_positive_examples():
    config = schema.default()
    split = SimpleNamespace(labels=["a", "b"], counts=[(10, 30), (0, 40)])  # positive, negative
    np.testing.assert_array_equal(train.class_weights(config, split), np.ones((2, 2)))
    config.loss.class_weights = "balanced"
    expected = [[40 / 60, 40 / 80], [40 / 20, 40 / 2]]
    np.testing.assert_allclose(train.class_weights(config, split), expected)


@pytest.mark.parametrize(
    ("precision", "loss_scale", "loss", "gradient", "ends"),
    [
        ("float32", 1.0, 0.5, True, False),
        ("float32", 1.0, np.nan, True, True),
        ("float32", 1.0, 0.5, False, True),
        ("mixed_float16", 1.0, np.nan, False, False),  # a smaller scale may help
        ("mixed_float16", 0.5, np.nan, False, True),  # none has
        ("mixed_bfloat16", 1.0, np.inf, False, True),
    ],
)
def test_loss_or_gradient_that_is_not_finite_ends_the_run(
    tmp_path, precision: str, loss_scale: float, loss: float, gradient: bool, ends: bool
):
    run = SimpleNamespace(
        config=SimpleNamespace(precision=precision),
        state=SimpleNamespace(loss_scale=loss_scale, finite=True),
        learning_rate=0.1,
        checkpoints=epath.Path(tmp_path),
    )
    losses, finite = np.array([0.5, loss]), np.array([True, gradient])
    result = LoopResult(losses, finite, 1.0, 0.1, SCORES["test"], 1.0, 0.0)
    if ends:
        with pytest.raises(NotFinite, match="step 11"):
            train.check_finite(run, Progress(step=9), result, saver=NoSaver())
    else:
        train.check_finite(run, Progress(step=9), result, saver=NoSaver())
