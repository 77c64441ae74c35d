"""The probe tells what has been learnt without labels, alike on any replicas."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import data_split, pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics.scores import Scores
from trainer.system.watchdog import Watchdog
from trainer.training import probe
from trainer.training.evaluator import Process
from trainer.training.state import create_state


def test_an_image_gets_the_label_of_those_most_like_it_which_are_known():
    known = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [1, 0.05]], np.float32)
    labels = np.array([[1, -1], [1, -1], [0, -1], [0, -1], [-1, -1]], np.float32)
    odds = probe.nearest(np.array([[5, 0], [0, 0.1]], np.float32), known, labels)
    assert odds[0, 0] > 5 and odds[1, 0] < -5
    np.testing.assert_array_equal(odds[:, 1], 0)  # nobody knows


def test_the_spread_is_that_of_the_sphere_and_0_where_all_images_are_one_point():
    draw, n = np.random.default_rng(0), 500
    scores = Scores(np.zeros((n, 0)), np.zeros((n, 0)), np.ones(n))
    losses = np.full(n, 0.25)
    spread = {
        name: probe.measure(probe.Probed(losses, points, scores), [])
        for name, points in {
            "everywhere": draw.normal(size=(n, 16)),
            "collapsed": np.outer(draw.uniform(1, 2, n), np.ones(16)),
        }.items()
    }
    assert spread["everywhere"]["spread"] == pytest.approx(1, abs=0.02)
    assert spread["collapsed"]["spread"] == pytest.approx(0, abs=1e-6)
    assert spread["collapsed"]["loss"] == 0.25 and spread["collapsed"]["auc"] is None


@pytest.mark.slow
def test_it_measures_validation_alike_on_one_device_and_two_replicas(
    tiny: ConfigDict,
    phantoms: epath.Path,
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(probe, "BANK", 24)
    tiny.model.stages, tiny.pretrain.method, tiny.pretrain.projection = 1, "simsiam", 8
    splits = {name: data_split.open_split(phantoms, name) for name in ("train", "validation")}
    pixels = {name: pipeline.pixels(split, 32, "host") for name, split in splits.items()}
    seen = []
    for strategy in (one_device, two_replicas):
        with strategy.scope():
            state = create_state(tiny, 10, 10)
        process = Process(Replicas(strategy, "a test"), StopSignals(), Watchdog())
        bank = splits["train"], pixels["train"]
        made = probe.Probe(process, state.averaged, config=tiny, bank=bank)
        seen.append(made.scores(splits["validation"], pixels["validation"]))
    one, two = seen
    np.testing.assert_allclose(one.losses, two.losses, atol=1e-5)
    np.testing.assert_allclose(one.projections, two.projections, atol=1e-5)
    assert len(one.losses) == splits["validation"].size
    assert one.take(np.array([2])).losses == one.losses[2]
    measured = probe.measure(one, splits["validation"].labels)
    assert 0 <= measured["auc"] <= 1 and measured["loss"] == pytest.approx(one.losses.mean())
