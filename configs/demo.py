"""The demo: a small residual network on synthetic radiographs, in minutes on two CPU cores.

scripts/demo.sh

Measured on two CPU cores (AMD EPYC with AVX-512), 1,329 phantoms to train on: 12 epochs in 49
seconds, evaluation and report included; test AUC 0.985 (95 % interval over patients 0.963 to
0.999), with seed 1 0.994. The figures say that the job works, and nothing about patients.
"""

from ml_collections import ConfigDict

from trainer.config.schema import default
from trainer.tuning.search_space import Sweep, log_uniform, uniform


def get_config() -> ConfigDict:
    """Returns the demo's fields."""
    config = default()
    config.name = "demo (synthetic radiographs)"
    config.data.image_size = 96
    config.augment.rotation_range = 5.0
    config.augment.width_shift_range = 0.05
    config.augment.height_shift_range = 0.05
    config.augment.zoom_range = 0.1
    config.augment.horizontal_flip = True
    config.model.name = "resnet"
    config.model.width = 16
    config.model.blocks = 1
    config.train.epochs = 12
    config.train.batch_size = 32
    config.train.ema = 0.98
    config.summaries.times = 2
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 1e-3
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 0.5
    return config


def sweep() -> Sweep:
    """Returns what radiograph tune varies."""
    return {
        "optimizer.learning_rate": log_uniform(2e-4, 2e-2),
        "optimizer.weight_decay": log_uniform(1e-4, 1e-1),
        "augment.zoom_range": uniform(0.0, 0.3),
    }
