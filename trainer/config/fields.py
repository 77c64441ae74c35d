"""Every field of a config: its default, its meaning, and what it may hold."""

from trainer import network_names
from trainer.config import references
from trainer.config.field import Field
from trainer.system import own_function

LOSSES = ("auto", "binary", "categorical", "focal", "asymmetric", "sigmoid", "softmax")
SMALLEST_IMAGES = {"article": 46, **network_names.APPLICATIONS}  # sides that a network takes
PRETRAINING = ("simsiam", "byol")
LOGGERS = ("terminal", "tensorboard", "mlflow", "wandb")
METRICS = ("auc", "loss", "average_precision")  # of validation
BLUR_REACH = 3  # standard deviations; a border that is mirrored has to be that wide


def _is_range(steps: str) -> bool:
    begin, _, end = steps.partition(",")
    return begin.isdecimal() and end.isdecimal() and int(begin) < int(end)


def _are_loggers(names: str) -> bool:
    return not names or {*names.split(",")} <= {*LOGGERS}


FIELDS: dict[str, Field] = {
    "name": Field("resnet", "name of the run in the report"),
    "seed": Field(
        0,
        "seed of the initial weights, the order of images and augmentation",
        low=0,
        high=2**31 - 1,
    ),
    "precision": Field(
        "float32",
        "arithmetic of the layers",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    ),
    "loggers": Field(
        "terminal,tensorboard",
        "what shows the run while it trains",
        form=f"names with commas between them, of {', '.join(LOGGERS)}, or nothing",
        has_form=_are_loggers,
    ),
    "data.path": Field("", "prepared data set, the --out of radiograph prepare"),
    "data.image_size": Field(
        180, "side of the square that images are fitted to, pixels", low=16, high=4096
    ),
    "data.fit": Field("squash", "how an image fits the square", choices=("squash", "pad", "crop")),
    "data.cache": Field(
        "auto",
        "where decoded pixels are kept: auto on GPUs, in memory or in a file, where they fit",
        choices=("auto", "device", "host", "disk", "none"),
    ),
    "data.disk_gib": Field(
        100.0, "GiB that files of decoded pixels may take in their folder", low=0
    ),
    "augment.rotation_range": Field(0.0, "largest rotation, degrees", low=0, high=180),
    "augment.width_shift_range": Field(0.0, "largest shift, fraction of the width", low=0, high=1),
    "augment.height_shift_range": Field(
        0.0, "largest shift, fraction of the height", low=0, high=1
    ),
    "augment.shear_range": Field(0.0, "largest shear angle, degrees", low=0, high=89),
    "augment.zoom_range": Field(0.0, "zoom of each axis from 1-z to 1+z", low=0, below=1),
    "augment.crop_range": Field(
        0.0, "crop of 1-r to 1 of the area, of sides 3:4 to 4:3, resized", low=0, below=1
    ),
    "augment.horizontal_flip": Field(False, "flips every second image, left to right"),
    "augment.vertical_flip": Field(False, "flips every second image, upside down"),
    "augment.fill_mode": Field(
        "nearest", "pixels beyond the border", choices=("nearest", "reflect", "constant")
    ),
    "augment.cval": Field(0.0, "grey beyond the border when constant, 0 to 1", low=0, high=1),
    "augment.brightness_range": Field(0.0, "largest change, fraction of full scale", low=0, high=1),
    "augment.contrast_range": Field(0.0, "contrast factor from 1-r to 1+r", low=0, high=1),
    "augment.gamma_range": Field(0.0, "gamma from 1/(1+r) to 1+r", low=0, high=10),
    "augment.blur_range": Field(0.0, "largest standard deviation of blur, pixels", low=0, high=16),
    "augment.noise_range": Field(
        0.0, "largest standard deviation of noise, full scale", low=0, high=1
    ),
    "augment.compression_range": Field(
        0.0, "largest loss of JPEG quality: from 100-r to 100", low=0, high=99
    ),
    "augment.curve_range": Field(
        0.0, "tone curve of 8 pieces, of slopes from exp(-r) to exp(r)", low=0, high=5
    ),
    "augment.local_contrast": Field(
        0.0, "largest share of contrast equalised in tiles, as by CLAHE", low=0, high=1
    ),
    "augment.collimate": Field(
        0.0, "largest share of a side that each border covers, of every second one", low=0, high=0.5
    ),
    "augment.erase": Field(
        0.0, "largest share of the area that is erased, of every second image", low=0, high=1
    ),
    "augment.mixup": Field(
        0.0,
        "alpha of the shares in which two images and their labels are averaged; 0 is off",
        low=0,
        high=100,
    ),
    "augment.cutmix": Field(
        0.0, "alpha of the share that another image does not cover; 0 is off", low=0, high=100
    ),
    "augment.extra": Field(
        "",
        "one's own augmentation, a function of (images, uniform)",
        form=own_function.FORM,
        has_form=own_function.is_name,
    ),
    "augment.strength": Field(
        1.0, "scales every range of augment: 0 is none, 1 as given", low=0, high=100
    ),
    "augment.jit_compile": Field(True, "compiles the augmentation with XLA"),
    "model.name": Field(
        "resnet",
        "architecture",
        form="article, resnet, a network of keras.applications in lower case such as densenet121, "
        f"or one's own, {own_function.FORM}",
        has_form=network_names.is_name,
        known=(*network_names.OURS, *network_names.APPLICATIONS),
    ),
    "model.weights": Field(
        "",
        "weights to begin with",
        form="imagenet (of keras.applications), a run's folder, a .weights.h5 or .keras file, or a "
        "TensorFlow checkpoint",
    ),
    "model.channels": Field(1, "input channels of the network; grey is repeated", choices=(1, 3)),
    "model.width": Field(16, "filters of the first stage (resnet)", low=1, high=1024),
    "model.stages": Field(
        4, "stages, each of half the side and twice the filters (resnet)", low=1, high=8
    ),
    "model.blocks": Field(1, "residual blocks per stage (resnet)", low=1, high=64),
    "model.views": Field(
        1,
        "of an image, whose mean is the answer once trained: 2 adds its mirror image, 6 closer and "
        "wider frames",
        choices=(1, 2, 6),
    ),
    "model.dropout": Field(0.0, "fraction of features dropped before the output", low=0, below=1),
    "pretrain.method": Field(
        "",
        "learns without labels: each of two views of an image predicts the other; empty is off",
        form="simsiam or byol, or nothing",
        has_form=PRETRAINING.__contains__,
        known=PRETRAINING,
    ),
    "pretrain.projection": Field(
        256, "length of the vectors that views are compared by", low=2, high=65536
    ),
    "train.epochs": Field(20, "passes over the training set", low=1, high=100_000),
    "train.batch_size": Field(32, "images per step, over all replicas", low=1, high=1_000_000),
    "train.accumulate": Field(
        1, "parts that a step is computed in, one after the other", low=1, high=1024
    ),
    "train.freeze_epochs": Field(
        0, "epochs in which the last layer alone learns", low=0, high=100_000
    ),
    "train.hang_minutes": Field(
        10.0, "minutes of a training loop that end the run as hanging; 0 is none", low=0
    ),
    "train.patience": Field(
        0, "epochs without a better one on validation that end training; 0 is none", low=0
    ),
    "train.ema": Field(0.0, "momentum of the averaged weights; 0 is off", low=0, below=1),
    "train.jit": Field(
        "auto",
        "compiles the whole step with XLA: auto on a single GPU",
        choices=("auto", "on", "off"),
    ),
    "train.deterministic": Field(
        False, "takes only kernels that give the same bits each time, also on GPUs; slower"
    ),
    "optimizer.name": Field("adamw", "optimizer", choices=("adam", "adamw", "rmsprop", "sgd")),
    "optimizer.learning_rate": Field(1e-3, "peak learning rate", above=0),
    "optimizer.layer_decay": Field(
        1.0, "learning rate of the first layer as a share of the last one's", low=1e-6, high=1
    ),
    "optimizer.weight_decay": Field(0.0, "decoupled weight decay", low=0, high=10),
    "optimizer.clip_norm": Field(0.0, "largest global gradient norm; 0 is off", low=0, high=1e30),
    "schedule.name": Field(
        "constant",
        "learning rate over time",
        choices=("constant", "cosine", "exponential", "one_cycle", "plateau"),
    ),
    "schedule.warmup_epochs": Field(0.0, "linear warm-up, epochs", low=0, high=100_000),
    "schedule.decay": Field(0.95, "factor of each epoch (exponential)", above=0),
    "schedule.plateau_factor": Field(
        0.5, "factor where validation gets no better (plateau)", low=0.001, below=1
    ),
    "schedule.plateau_epochs": Field(
        3, "epochs without a better one before that (plateau)", low=1, high=100_000
    ),
    "loss.name": Field(
        "auto",
        "auto: binary, or categorical of classes that exclude one another; sigmoid, softmax are "
        "older names of these",
        form=f"one of {', '.join(LOSSES)}, or {own_function.FORM}",
        has_form=lambda name: name in LOSSES or own_function.is_name(name),
        known=LOSSES,
    ),
    "loss.gamma": Field(2.0, "how little easy examples count (focal)", low=0, high=20),
    "loss.gamma_positive": Field(
        0.0, "how little easy positives count (asymmetric)", low=0, high=20
    ),
    "loss.gamma_negative": Field(
        4.0, "how little easy negatives count (asymmetric)", low=0, high=20
    ),
    "loss.margin": Field(
        0.05, "probability below which negatives count nothing (asymmetric)", low=0, below=1
    ),
    "loss.label_smoothing": Field(
        0.0, "fraction of the label spread over all classes", low=0, below=1
    ),
    "loss.class_weights": Field(
        "none", "weight of a class in the loss", choices=("none", "balanced")
    ),
    "distribute.strategy": Field(
        "auto",
        "how replicas are laid out",
        choices=("auto", "one_device", "mirrored", "multi_worker", "tpu"),
    ),
    "distribute.tpu": Field("local", "the TPU: local on a TPU VM, else its name"),
    "distribute.cpu_devices": Field(
        0, "logical CPU devices to make; 0: as many as there are", low=0, high=64
    ),
    "evaluation.at_start": Field(
        True, "evaluates the untrained network too, where the curves begin"
    ),
    "evaluation.every_steps": Field(
        0, "steps between evaluations within an epoch, for the best too; 0 is none", low=0
    ),
    "evaluation.every_minutes": Field(
        0.0, "minutes between evaluations that are only shown; 0 is none", low=0
    ),
    "evaluation.limit": Field(
        0, "validation images of evaluations within an epoch; 0 is all", low=0
    ),
    "evaluation.test_each_epoch": Field(
        False,
        "evaluates test after each epoch too, for the report to warn of what choosing by it claims",
    ),
    "summaries.times": Field(
        10,
        "epochs after which pictures and histograms are drawn; 0 is none",
        low=0,
        high=100_000,
    ),
    "summaries.channels": Field(16, "most active channels shown of a layer", low=1, high=4096),
    "summaries.examples": Field(1, "fixed examples shown of each class", low=1, high=4),
    "summaries.errors": Field(8, "worst errors of each kind shown", low=1, high=8),
    "summaries.colour_map": Field(
        "grey", "colours of activations and filters", choices=("grey", "viridis")
    ),
    "profile.steps": Field(
        "",
        "steps that are traced",
        form="two steps A,B with A below B, or nothing",
        has_form=_is_range,
    ),
    "profile.flops": Field(True, "counts the operations of a step after the first epoch, for MFU"),
    "report.references": Field(
        "",
        "published figures to compare with",
        form=references.GRAMMAR,
        has_form=references.is_valid,
    ),
    "checkpoint.best_by": Field(
        "auc", "metric of validation that the best is chosen by", choices=METRICS
    ),
    "checkpoint.result": Field(
        "best", "weights that are the run's network", choices=("best", "last")
    ),
    "checkpoint.keep": Field(3, "newest checkpoints kept", low=1),
    "checkpoint.every_minutes": Field(
        15.0, "minutes between checkpoints within an epoch; 0 is none", low=0
    ),
    "checkpoint.every_steps": Field(
        0, "steps between checkpoints within an epoch; 0 is none", low=0
    ),
}

# Fields that may change when a run is resumed. None changes a number of the run, except for the
# first two, which change them by rounding and may have to suit another machine.
CHANGEABLE = (
    "precision",
    "train.jit",
    "loggers",
    "data.path",
    "data.cache",
    "data.disk_gib",
    "evaluation.at_start",
    "evaluation.every_minutes",
    "evaluation.test_each_epoch",
    "summaries.times",
    "summaries.channels",
    "summaries.examples",
    "summaries.errors",
    "summaries.colour_map",
    "profile.steps",
    "profile.flops",
    "report.references",
    "checkpoint.keep",
    "checkpoint.every_minutes",
    "checkpoint.every_steps",
    "train.hang_minutes",
    "distribute.strategy",
    "distribute.tpu",
    "distribute.cpu_devices",
)

# Fields of earlier versions, which are ignored with a warning, and what became of them.
REMOVED = {"summaries.time_share": "pictures are drawn at the same epochs in every run"}
