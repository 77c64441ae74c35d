"""A small residual network, AdamW with warm-up and cosine, averaged weights: the default.

python -m trainer.task --config=configs/resnet.py --config.data.path=DATA --workdir=RUN
"""

from ml_collections import ConfigDict

from trainer.config import default


def get_config() -> ConfigDict:
    """Returns the fields of the residual network's recipe."""
    config = default()
    config.name = "resnet"
    config.data.image_size = 160
    config.augment.rotation_range = 10.0
    config.augment.width_shift_range = 0.1
    config.augment.height_shift_range = 0.1
    config.augment.zoom_range = 0.2
    config.augment.horizontal_flip = True
    config.augment.brightness_range = 0.1
    config.augment.contrast_range = 0.3
    config.augment.gamma_range = 0.3
    config.augment.blur_range = 1.5
    config.augment.noise_range = 0.04
    config.model.name = "resnet"
    config.model.width = 16
    config.model.blocks = 1
    config.model.dropout = 0.2
    config.train.epochs = 25
    config.train.batch_size = 32
    config.train.ema = 0.998
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.loss.label_smoothing = 0.05
    config.loss.class_weights = "balanced"
    return config
