"""What `scripts/benchmark.py` measures of Keras, each function in a process of its own."""

from pathlib import Path
from typing import Any

from benchmark_meter import Meter
from benchmark_ours import BATCH, SIDE, count_batches

ARTICLE_BATCH = 8
PART = 16  # of an epoch, and of its validation, between two counts


def article_script(work: Path, meter: Meter) -> None:
    """The article's script: ImageDataGenerator and fit, a sixteenth of an epoch at a time."""
    import keras

    train = _image_data_generator(
        work / "files/train", ARTICLE_BATCH, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )
    validation = _image_data_generator(work / "files/validation", ARTICLE_BATCH)
    model = article_network("sigmoid")
    model.compile(keras.optimizers.RMSprop(1e-4), "binary_crossentropy", metrics=["accuracy"])
    steps = max(1, len(train) // PART)
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: meter.add(steps * ARTICLE_BATCH),
    )
    model.fit(
        train,
        epochs=10_000,
        steps_per_epoch=steps,
        validation_data=validation,
        validation_steps=max(1, len(validation) // PART),
        callbacks=[count],
        verbose=0,
    )


def article_network(activation: str) -> Any:
    """Returns the article's network.

    Args:
      activation: of its output: "sigmoid", or "linear" for logits.
    """
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((SIDE, SIDE, 3))])
    for filters in (16, 32, 64, 128):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(1, activation=activation))
    return model


def image_dataset_from_directory(work: Path, meter: Meter) -> None:
    """What Keras makes of class folders: decoded at every visit, no augmentation."""
    import keras

    batches = keras.utils.image_dataset_from_directory(
        work / "files/train",
        color_mode="grayscale",
        batch_size=BATCH,
        image_size=(SIDE, SIDE),
        verbose=False,
    )
    count_batches(lambda: batches, meter)


def image_data_generator(work: Path, meter: Meter) -> None:
    """The article's generator without its augmentation."""
    generator = _image_data_generator(work / "files/train", BATCH, color_mode="grayscale")
    count_batches(lambda: generator, meter)


def _image_data_generator(folder: Path, batch: int, color_mode: str = "rgb", **augmentation):
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(rescale=1 / 255, **augmentation).flow_from_directory(
        folder,
        target_size=(SIDE, SIDE),
        batch_size=batch,
        class_mode="binary",
        color_mode=color_mode,
    )
