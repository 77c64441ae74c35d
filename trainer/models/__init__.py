"""The networks, by name, and what they see: layer outputs and attribution.

Each takes [b, S, S, C] float32 in 0..1 and returns [b, K] logits. Nothing here trains.
"""

import keras
from etils import epath
from ml_collections import ConfigDict

from trainer import network_names
from trainer.models import applications, article, own_network, resnet


def build(
    config: ConfigDict,
    image_size: int,
    outputs: int = 1,
    *,
    source: epath.PathLike | None = None,
) -> keras.Model:
    """Builds the network that `config.name` names.

    Args:
      config: the fields `model.*`.
      image_size: side of the square images, pixels.
      outputs: number of logits K.
      source: the file of one's own network, where that is not the one in its name.

    Raises:
      UsageError: one's own network cannot be built.
    """
    shape = (image_size, image_size, config.channels)
    if config.name in network_names.APPLICATIONS:
        return applications.network(config.name, shape, outputs, config.dropout)
    if network_names.own(config.name):
        return own_network.network(shape, outputs, config, source=source)
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
