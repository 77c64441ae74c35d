"""One number that scales the range of every augmentation; imports no TensorFlow."""

from collections.abc import Mapping

# The fields that say how far images may change; the others say whether, or how.
SCALED = (
    *("rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range"),
    *("crop_range", "brightness_range", "contrast_range", "gamma_range", "blur_range"),
    *("noise_range", "compression_range", "curve_range", "local_contrast", "collimate"),
    *("erase", "mixup", "cutmix"),
)


def scaled(options: Mapping[str, float]) -> dict[str, float]:
    """Returns the ranges of a config's `augment.*`, each times `augment.strength`."""
    return {name: options[name] * options["strength"] for name in SCALED}
