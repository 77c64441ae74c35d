"""How many operations a second a device can do at most."""

import re
import time

import tensorflow as tf

SIDE = 1024  # of the matrices whose product a CPU is measured by
TRIALS = 5

# TFLOP/s of dense products as the makers publish them: in half precision, and in float32, which
# TensorFlow computes in TF32 where the device has it. Of TPU v4 one of a chip's two cores.
PUBLISHED = {
    "B200": (2250.0, 1125.0),
    "GH200": (989.0, 494.0),
    "H200": (989.0, 494.0),
    "H100 PCIe": (756.0, 378.0),
    "H100": (989.0, 494.0),
    "A100": (312.0, 156.0),
    "A10G": (70.0, 35.0),
    "A10": (125.0, 62.5),
    "L40S": (362.0, 183.0),
    "L4": (121.0, 60.0),
    "V100": (125.0, 15.7),
    "P100": (21.2, 10.6),
    "T4": (65.0, 8.1),
    "TPU v6e": (918.0, 918.0),
    "TPU v5p": (459.0, 459.0),
    "TPU v5e": (197.0, 197.0),
    "TPU v4": (137.5, 137.5),
}


def published(device_kind: str, precision: str) -> float | None:
    """Returns the operations a second of a device by its name, None of one that is not known."""
    for name, (half, single) in PUBLISHED.items():
        if re.search(rf"\b{name}\b", device_kind):
            return 1e12 * (single if precision == "float32" else half)
    return None


def measured(precision: str) -> float:
    """Returns the operations a second that the CPU reaches in the best of some matrix products."""
    dtype = tf.float32 if precision == "float32" else tf.as_dtype(precision.removeprefix("mixed_"))
    with tf.device("CPU:0"):
        factor = tf.ones((SIDE, SIDE), dtype)
        best = float("inf")
        for _ in range(TRIALS):
            began = time.perf_counter()
            tf.linalg.matmul(factor, factor)[0, 0].numpy()
            best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best
