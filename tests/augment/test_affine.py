"""The drawn geometry fills its ranges."""

import numpy as np
import tensorflow as tf

from trainer import random_numbers
from trainer.augment.affine import RandomAffine


def drawn(rows, **fields):
    """The affine parameters of each row, with images of 50 by 200 pixels."""
    return RandomAffine(**fields).draw(
        random_numbers.key(seed=3, step=7), rows, global_batch=len(rows), height=50, width=200
    )


def test_affine_parameters_fill_their_ranges():
    parameters = drawn(
        tf.range(2000),
        rotation_range=30.0,
        width_shift_range=0.1,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=(0.8, 1.1),
    )
    bounds = {"theta": 30, "tx": 20, "ty": 10, "shear": 0.2}
    for name, bound in bounds.items():
        values = getattr(parameters, name).numpy()
        assert -bound <= values.min() < -0.98 * bound and 0.98 * bound < values.max() <= bound
    for zoom in (parameters.zx.numpy(), parameters.zy.numpy()):
        assert 0.8 <= zoom.min() < 0.805 and 1.095 < zoom.max() <= 1.1
    assert abs(np.corrcoef(parameters.zx, parameters.zy)[0, 1]) < 0.1
    assert RandomAffine(zoom_range=0.25).zoom_range == (0.75, 1.25)


def test_about_half_of_the_images_are_flipped_on_each_axis():
    parameters = drawn(tf.range(2000), horizontal_flip=True, vertical_flip=True)
    for flip in (parameters.flip_x.numpy(), parameters.flip_y.numpy()):
        assert set(flip) == {-1.0, 1.0} and abs(flip.mean()) < 0.1
    assert set(drawn(tf.range(2000), horizontal_flip=True).flip_y.numpy()) == {1.0}
