"""A small residual network for radiographs, trained from scratch."""

import keras
from keras import layers

from trainer.models.batch_normalization import BatchNormalization
from trainer.models.dropout import Dropout


def network(
    shape: tuple[int, int, int],
    outputs: int = 1,
    *,
    width: int = 16,
    stages: int = 4,
    blocks: int = 1,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds stages of residual blocks; each stage halves the side and doubles the filters.

    The stem brings the image to a quarter of its side before the blocks, since at full side
    they would cost most of the time. Residual blocks after He et al. (arXiv:1512.03385), the
    last scale of each starting at 0 (Goyal et al., arXiv:1706.02677), shortcuts averaged before
    they are projected (He et al., arXiv:1812.01187).

    Args:
      shape: height, width and channels of the images.
      outputs: number of logits.
      width: filters of the first stage.
      stages: number of stages after the stem.
      blocks: residual blocks in each stage.
      dropout: share of the pooled features dropped in training.
    """
    image = keras.Input(shape, name="image")
    x = _convolution(image, width, "stem", size=5, stride=2)
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage in range(stages):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"stage{stage + 1}_block{block + 1}"
            x = _residual(x, width * 2**stage, name, stride=stride)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(outputs, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="resnet")


def _residual(x: keras.KerasTensor, filters: int, name: str, *, stride: int) -> keras.KerasTensor:
    shortcut = x
    if stride > 1:
        # Averaged, not skipped: no pixel is lost, and oneDNN's gradient of a strided 1x1
        # convolution varies from call to call on CPUs without AVX-512.
        shortcut = layers.AveragePooling2D(stride, padding="same", name=f"{name}_average")(x)
    if x.shape[-1] != filters:
        shortcut = _convolution(shortcut, filters, f"{name}_shortcut", size=1, relu=False)
    x = _convolution(x, filters, f"{name}_conv1", stride=stride)
    x = _convolution(x, filters, f"{name}_conv2", relu=False, scale="zeros")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, shortcut]))


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    *,
    size: int = 3,
    stride: int = 1,
    relu: bool = True,
    scale: str = "ones",
) -> keras.KerasTensor:
    """Adds a convolution, batch normalisation over all replicas, and relu."""
    x = layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = BatchNormalization(momentum=0.9, gamma_initializer=scale, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
