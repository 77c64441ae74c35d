"""Fourteen findings at once on NIH ChestX-ray14 (Wang et al., CVPR 2017), after CheXNet's sizes.

radiograph prepare --source=Data_Entry_2017_v2020.csv --image_root=IMAGES --out=DATA
radiograph train --config=configs/chestxray14.py --config.data.path=DATA --workdir=RUN

Images are padded to 224 pixels; decoded, the 112,120 radiographs take 5.3 GiB of memory. It was run
on 48 of its images alone, which says that the path from the table to the report works, and nothing
about the findings; the whole set was not at hand, so there is no score to give.
"""

from ml_collections import ConfigDict

from trainer.config.schema import default


def get_config() -> ConfigDict:
    """Returns the recipe's fields."""
    config = default()
    config.name = "ChestX-ray14"
    config.data.image_size = 224
    config.augment.rotation_range = 5.0
    config.augment.width_shift_range = 0.05
    config.augment.height_shift_range = 0.05
    config.augment.zoom_range = 0.1
    config.augment.horizontal_flip = True
    config.augment.contrast_range = 0.2
    config.augment.brightness_range = 0.1
    config.model.name = "resnet"
    config.model.width = 32
    config.model.blocks = 2
    config.model.dropout = 0.2
    config.train.epochs = 15
    config.train.batch_size = 64
    config.train.ema = 0.999
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-3
    config.optimizer.clip_norm = 1.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    return config
