"""An evaluation scores each record once, in the order of the split."""

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import data_split, pipeline
from trainer.metrics.scores import Scores
from trainer.models import inputs
from trainer.models.views import answer
from trainer.training.evaluation_loop import evaluation_loop
from trainer.training.state import create_state


@pytest.mark.parametrize("views", [1, 6])
def test_evaluation_scores_every_record_in_order(
    views: int, tiny: ConfigDict, phantoms: epath.Path, one_device: tf.distribute.Strategy
):
    split = data_split.open_split(phantoms, "test")
    pixels = pipeline.pixels(split, 32, "host")
    with one_device.scope():
        state = create_state(tiny, 10, 10)
    loop = evaluation_loop(one_device, state.averaged, 8, answer_views=views)
    batches = one_device.distribute_datasets_from_function(
        lambda context: pipeline.evaluation_batches(pixels, 8, context)
    )
    columns = loop(iter(batches), pipeline.steps(split.size, 8), 0)
    scores = Scores.from_columns(columns).without_padding()
    images, labels = next(iter(pixels.look_up(tf.data.Dataset.range(split.size).batch(1000))))
    direct = answer(state.averaged, inputs.images_to_float(images), views)
    np.testing.assert_array_equal(scores.labels, labels)
    np.testing.assert_allclose(scores.logits, direct, atol=1e-5)
