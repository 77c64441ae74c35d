"""A plain network has no layer of this package, and says the same."""

import keras
import pytest

from trainer.export import plain_network
from trainer.models.dropout import Dropout


@pytest.mark.parametrize(("mask", "noise"), [(None, None), ((1, 1, None), (None, 1, 1, None))])
def test_dropout_becomes_that_of_keras(mask: tuple | None, noise: tuple | None):
    plain = plain_network._plain_layer(Dropout(0.3, mask, name="drop"))
    assert type(plain) is keras.layers.Dropout
    assert (plain.name, plain.rate, plain.noise_shape) == ("drop", 0.3, noise)
