"""EfficientNetV2-B0 from ImageNet's weights, the head first, then all of it.

radiograph train --config=configs/efficientnet.py --config.data.path=DATA --workdir=RUN

Keras downloads the weights once (--config.model.weights=RUN begins with those of another run, and
--config.model.weights= with random ones). In the first epoch the head alone learns; then the first
layer learns at three tenths of the head's rate.

It was not trained from ImageNet's weights here, where they could not be downloaded. From random
ones (--config.train.freeze_epochs=0 --config.data.image_size=96 --config.train.epochs=20), on
473 of the Kermany images, a tenth of the patients, it came to AUC 0.871 (95 % interval over
patients 0.833 to 0.905) and accuracy 0.790 at 0.5 on the 310-image half, seed 0, in 6 minutes
on one core of an AMD EPYC: it learns, and so few images are too few for it (the residual network
of width 16 has 0.959). Tests take steps of a shrunken EfficientNetV2, alike on two replicas and
after a resume.
"""

from ml_collections import ConfigDict

from trainer.config.schema import default


def get_config() -> ConfigDict:
    """Returns the recipe's fields."""
    config = default()
    config.name = "EfficientNetV2-B0"
    config.data.image_size = 224
    config.augment.rotation_range = 10.0
    config.augment.width_shift_range = 0.05
    config.augment.height_shift_range = 0.05
    config.augment.zoom_range = 0.1
    config.augment.horizontal_flip = True
    config.augment.brightness_range = 0.1
    config.augment.contrast_range = 0.2
    config.model.name = "efficientnetv2b0"
    config.model.weights = "imagenet"
    config.model.dropout = 0.3
    config.train.epochs = 10
    config.train.batch_size = 32
    config.train.freeze_epochs = 1
    config.train.ema = 0.99
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 5e-4
    config.optimizer.layer_decay = 0.3
    config.optimizer.weight_decay = 0.01
    config.optimizer.clip_norm = 1.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 0.5
    config.loss.label_smoothing = 0.05
    config.loss.class_weights = "balanced"
    return config
