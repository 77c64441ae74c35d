"""The networks, by name, and what they see: layer outputs and attribution.

Each takes [b, S, S, C] float32 in 0..1 and returns [b, K] logits. Nothing here trains.
"""

import keras
from ml_collections import ConfigDict

from trainer.models import article, resnet


def build(config: ConfigDict, image_size: int, outputs: int = 1) -> keras.Model:
    """Builds the network that `config.name` names.

    Args:
      config: the fields `model.*`.
      image_size: side of the square images, pixels.
      outputs: number of logits K.
    """
    shape = (image_size, image_size, config.channels)
    if config.name == "article":
        return article.network(shape, outputs, config.dropout)
    return resnet.network(
        shape,
        outputs,
        width=config.width,
        stages=config.stages,
        blocks=config.blocks,
        dropout=config.dropout,
    )
