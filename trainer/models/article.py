"""The article's network: four convolutions, each followed by max pooling, and a dense layer."""

import keras
from keras import layers

from trainer.models.dropout import Dropout


def network(shape: tuple[int, int, int], outputs: int = 1, dropout: float = 0.3) -> keras.Model:
    """Builds the network as published: 5,406,881 parameters at 180x180x3 and one output.

    Args:
      shape: height, width and channels of the images.
      outputs: number of logits; the article's sigmoid is in the loss and in the scores.
      dropout: share of the dense layer's features dropped in training.
    """
    return keras.Sequential(
        [
            keras.Input(shape, name="image"),
            layers.Conv2D(16, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.MaxPooling2D(2, name="pool3"),
            layers.Conv2D(128, 3, activation="relu", name="conv4"),
            layers.MaxPooling2D(2, name="pool4"),
            layers.Flatten(name="flatten"),
            layers.Dense(512, activation="relu", name="dense"),
            Dropout(dropout, name="dropout"),
            layers.Dense(outputs, dtype="float32", name="logits"),
        ],
        name="article",
    )
