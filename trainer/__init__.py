"""Distributed TensorFlow and Keras training of chest radiograph classifiers."""

import os
import sys
from importlib.util import find_spec

__version__ = "0.1.0"

# Asked for and not imported: TensorFlow takes seconds, and its log level counts at import.
if find_spec("tensorflow") is None:
    raise ImportError(
        "trainer needs TensorFlow, which is not installed: choose one of "
        "pip install 'radiograph-trainer[cpu]', 'radiograph-trainer[gpu]' or "
        "'radiograph-trainer[tpu]'."
    )

if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        f"trainer needs Keras' tensorflow backend, but the environment variable KERAS_BACKEND "
        f"is {os.environ['KERAS_BACKEND']!r}: unset it or set it to 'tensorflow'."
    )

# Not above, as absl-py may be missing where TensorFlow is.
from trainer.distribute import preemption, tpu
from trainer.system import logging_levels

preemption.end_as_others_do()
logging_levels.begin(sys.argv)
tpu.prepare_environment()

# Off by default on CPUs without AVX-512, where it trains the article's network twice as fast too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# TensorFlow reads gs:// in blocks of 64 MiB, one for each file that is opened: smaller ones read
# single images several times as fast, and shards about as fast (scripts/bucket_benchmark.py,
# docs/cloud.md).
os.environ.setdefault("GCS_READ_CACHE_BLOCK_SIZE_MB", "16")
