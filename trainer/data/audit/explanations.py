"""What it means when something other than the patient predicts a label, and which options help."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

UNIFORM = "Prepare with --uniform, which encodes every image alike."
COMPRESSION = (
    "Train with --config.augment.compression_range={compression} and "
    "--config.augment.blur_range=1.0, which compress and blur each image by another amount, so "
    "that the amount predicts nothing."
)
AUDIT_AGAIN = "Audit the prepared data set (--source=DATA) to see what is left of it."
CROP = (
    "Train with --config.data.fit=crop instead of squash, which makes the aspect ratio visible as "
    "stretched anatomy; pad would show it as bars."
)


ACQUISITION = ("view", "modality", "manufacturer")  # kept columns that tell of no patient


@dataclass(frozen=True)
class Explanation:
    """What groups of file features mean that are explained together.

    Attributes:
      title: what predicts the label.
      groups: their names in `file_features.GROUPS`.
      may_be_patient: whether the label itself may be what is measured.
      removed_by_prepare: whether they describe the file itself, of which a prepared image shows
        nothing.
      meaning: see `verdict.Verdict`.
      steps: what to do, a sentence each, with the names of `_values` in braces.
    """

    title: str
    groups: tuple[str, ...]
    may_be_patient: bool
    removed_by_prepare: bool
    meaning: str
    steps: tuple[str, ...]

    def advice(self, typical: Mapping[str, Mapping[str, float | str]]) -> tuple[str, ...]:
        """Returns the steps with values that make up for what differs between the classes.

        Args:
          typical: of the images with and without the label; see `shortcuts.Shortcut`.
        """
        values = _values(typical)
        return tuple(step.format(**values) for step in self.steps)


EXPLANATIONS = (
    Explanation(
        "how the file is encoded",
        ("EXIF present", "file format", "JPEG quantisation tables", "chroma and colour mode"),
        may_be_patient=False,
        removed_by_prepare=True,
        meaning="The classes were saved by different programs or settings. The network does not "
        "see the file, but its compression is in the pixels, and it can learn that instead of the "
        "patient.",
        steps=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "how the pixels were encoded",
        ("encoding seen in the pixels",),
        may_be_patient=False,
        removed_by_prepare=False,
        meaning="The pixels show the steps of a different JPEG compression in each class, whatever "
        "the file around them is now; a network sees that.",
        steps=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "the image's size",
        ("width", "height", "aspect ratio"),
        may_be_patient=False,
        removed_by_prepare=False,
        meaning="The classes come from different devices or were cropped differently. Squashed to "
        "one square, another aspect ratio is another stretch of the anatomy, which a network can "
        "see.",
        steps=(
            CROP,
            "Train with --config.augment.zoom_range={zoom}, drawn for each axis by itself.",
        ),
    ),
    Explanation(
        "the fine structure",
        ("fine structure",),
        may_be_patient=True,
        removed_by_prepare=False,
        meaning="Noise, sharpness and block borders differ between the classes. Compression, "
        "resizing and the device change them, and so does the patient: an opacity hides fine "
        "structure.",
        steps=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "the file's size",
        ("file size",),
        may_be_patient=True,
        removed_by_prepare=True,
        meaning="Where the encoding and the number of pixels are the same, it shows how much fine "
        "structure the picture has: what an earlier compression left of it, or the patient.",
        steps=(UNIFORM, COMPRESSION),
    ),
    Explanation(
        "a border or the brightness",
        ("border darkness", "mean and contrast"),
        may_be_patient=True,
        removed_by_prepare=False,
        meaning="Exposure, collimation or black borders differ between the classes. It may be the "
        "disease itself, since an opacity is bright, or it may be the device.",
        steps=(
            "Look at the images of both classes side by side (on the page, under Images).",
            "Train with --config.augment.brightness_range={brightness}, "
            "--config.augment.contrast_range={contrast} and --config.augment.gamma_range=0.2, and "
            "with --config.data.fit=crop against dark borders.",
            "See in the report's activation images whether the network looks at the borders.",
        ),
    ),
)


def of_column(name: str) -> Explanation:
    """Returns what it means that a kept column predicts a label; its group is `name`."""
    return Explanation(
        f"the {name}",
        (name,),
        may_be_patient=not name.endswith(ACQUISITION),
        removed_by_prepare=False,
        meaning="Images with the label have other values of it than those without. A network that "
        "sees it in the picture, as it may see age, view or device, can learn it instead of the "
        "finding; where it is a cause of the disease it is no shortcut.",
        steps=(
            "See how results differ between its values: radiograph evaluate RUN --by="
            f"{name.removeprefix('column ')}.",
            "Prepare with images in which it and the label go apart, or report results for each "
            "of its values.",
        ),
    )


def _values(typical: Mapping[str, Mapping[str, float | str]]) -> dict[str, str]:
    """Returns the values of options that cover what differs, in steps of 0.05 or 5."""

    def pair(field: str, default: float) -> tuple[float, float]:
        found = [float(typical.get(kind, {}).get(field) or default) for kind in _KINDS]
        return min(found), max(found)

    narrow, wide = pair("aspect", 1.0)
    dark, bright = pair("mean", 0.0)
    flat, strong = pair("contrast", 1.0)
    worst = pair("quality", 100.0)[0]
    return {
        "compression": f"{min(95, max(40, 5 * math.ceil((100 - worst) / 5)))}",
        "zoom": _step((wide - narrow) / (wide + narrow), 0.1, 0.5),
        "brightness": _step((bright - dark) / 255, 0.1, 0.5),
        "contrast": _step((strong - flat) / (strong + flat), 0.1, 0.5),
    }


_KINDS = ("positive", "negative")


def _step(value: float, least: float, most: float) -> str:
    """Returns a value within bounds, rounded up to a twentieth."""
    return f"{min(most, max(least, math.ceil(20 * value) / 20)):g}"
