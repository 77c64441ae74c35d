"""A split is scored as training sees it, with draws that replicas and runs have in common."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.data import data_split, pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics.scores import Scores
from trainer.system.watchdog import Watchdog
from trainer.training.augmented_evaluator import DRAWS, AugmentedEvaluator
from trainer.training.evaluator import Process
from trainer.training.state import State, create_state


@pytest.fixture
def augmented(tiny: ConfigDict) -> ConfigDict:
    """A config whose images move and change their tone."""
    tiny.model.stages = 1
    tiny.augment.rotation_range, tiny.augment.curve_range = 20.0, 1.0
    tiny.augment.jit_compile = False
    return tiny


def scored(
    config: ConfigDict, split: data_split.Split, strategy: tf.distribute.Strategy
) -> tuple[Scores, State]:
    with strategy.scope():
        state = create_state(config, 10, 10)
    process = Process(Replicas(strategy, "a test"), StopSignals(), Watchdog())
    evaluator = AugmentedEvaluator(process, state.averaged, config=config)
    pixels = pipeline.pixels(split, config.data.image_size, "host")
    return evaluator.scores(split, pixels), state


def test_each_draw_scores_every_image_as_training_would_augment_it(
    augmented: ConfigDict, phantoms: epath.Path, one_device: tf.distribute.Strategy
):
    split, batch = data_split.open_split(phantoms, "test"), augmented.train.batch_size
    found, state = scored(augmented, split, one_device)
    images, labels = pipeline.arrays(split, augmented.data.image_size, fit_mode="squash")
    assert len(found.logits) == DRAWS * split.size
    np.testing.assert_array_equal(found.labels, np.tile(labels, (DRAWS, 1)))

    augment = augmentation.of_run(augmented, on_tpu=False)
    assert split.size > batch  # so that the draws of batches differ, too
    for start in range(0, split.size, batch):
        seen = tf.cast(images[start : start + batch], tf.float32) / 255
        for draw in range(DRAWS):
            key = random_numbers.key(draw, tf.constant(start // batch))
            changed = augment(seen, key, tf.range(len(seen)), global_batch=batch)
            expected = state.averaged(changed, training=False)
            of_draw = found.logits[draw * split.size + start :][: len(seen)]
            np.testing.assert_allclose(of_draw, expected, atol=1e-5)


def test_replicas_and_seeds_see_the_same_draws(
    augmented: ConfigDict,
    phantoms: epath.Path,
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
):
    split = data_split.open_split(phantoms, "test")
    (one, state), (two, _) = (scored(augmented, split, s) for s in (one_device, two_replicas))
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)
    augmented.seed = 1
    process = Process(Replicas(one_device, "a test"), StopSignals(), Watchdog())
    again = AugmentedEvaluator(process, state.averaged, config=augmented)
    pixels = pipeline.pixels(split, augmented.data.image_size, "host")
    np.testing.assert_array_equal(again.scores(split, pixels).logits, one.logits)


def test_what_is_not_augmented_needs_no_draws(tiny: ConfigDict, one_device: tf.distribute.Strategy):
    tiny.augment.strength, tiny.model.stages = 0.0, 1
    tiny.augment.horizontal_flip = False
    state = create_state(tiny, 10, 10)
    process = Process(Replicas(one_device, "a test"), StopSignals(), Watchdog())
    assert not AugmentedEvaluator(process, state.averaged, config=tiny).is_on
