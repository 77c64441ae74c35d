"""The article's recipe: four convolutions, RMSprop, 25 epochs at 180x180.

radiograph train --config=configs/article.py --config.data.path=DATA --workdir=RUN

Measured on two CPU cores (AMD EPYC with AVX-512), trained on 4,638 of the Kermany images: 25
epochs in 10.1 minutes, 196 images/s in the median epoch, training accuracy 0.95. On the 310-image
half of the test folder, at the epoch chosen by validation AUC:

  seed 0: epoch 24, AUC 0.974, accuracy 0.890; over the last ten epochs 0.632 to 0.903
  seed 1: epoch 22, AUC 0.967, accuracy 0.845; over the last ten epochs 0.845 to 0.916

The article claims over 0.94 in training, which holds, and over 0.90 on test, which single epochs
reach but the choice by validation does not: sensitivity is 0.99, specificity 0.60 to 0.73. The
files of this set tell the classes apart in training more than in test, so validation looks better
(AUC 0.99) than what is to come. Stronger augmentation (rotation 40, shifts 0.2) was worse: AUC
0.937 and training accuracy 0.90.
"""

from ml_collections import ConfigDict

from trainer.config.schema import default


def get_config() -> ConfigDict:
    """Returns the article's fields."""
    config = default()
    config.name = "article"
    config.data.image_size = 180
    config.augment.shear_range = 0.2
    config.augment.zoom_range = 0.2
    config.augment.horizontal_flip = True
    config.augment.fill_mode = "nearest"
    config.model.name = "article"
    config.model.channels = 3
    config.model.dropout = 0.3
    config.train.epochs = 25
    config.train.batch_size = 32
    config.optimizer.name = "rmsprop"
    config.optimizer.learning_rate = 1e-4
    config.summaries.colour_map = "viridis"  # as the article shows activations
    # On the whole test folder; Kermany et al., Cell 172:1122, used a pretrained Inception network.
    config.report.references = (
        "the article accuracy=0.90; "
        "Kermany 2018 accuracy=0.928 sensitivity=0.932 specificity=0.901 auc=0.968"
    )
    return config
