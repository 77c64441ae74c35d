"""What it means when something other than the patient predicts a label, and which options help."""

from dataclasses import dataclass

UNIFORM = "Prepare with --uniform, which encodes every image alike."
COMPRESSION = (
    "Train with --config.augment.compression_range and --config.augment.blur_range, which "
    "compress and blur each image by another amount, so that the amount predicts nothing."
)
AUDIT_AGAIN = "Audit the prepared data set (--source=DATA) to see what is left of it."
CROP = (
    "Train with --config.data.fit=crop instead of squash, which makes the aspect ratio visible as "
    "stretched anatomy; pad would show it as bars."
)


@dataclass(frozen=True)
class Explanation:
    """What groups of file features mean that are explained together.

    Attributes:
      title: what predicts the label.
      groups: their names in `file_features.GROUPS`.
      may_be_patient: whether the label itself may be what is measured.
      removed_by_prepare: whether they describe the file itself, of which a prepared image shows
        nothing.
      meaning, advice: see `verdicts.Verdict`.
    """

    title: str
    groups: tuple[str, ...]
    may_be_patient: bool
    removed_by_prepare: bool
    meaning: str
    advice: tuple[str, ...]


EXPLANATIONS = (
    Explanation(
        "how the file is encoded",
        ("EXIF present", "file format", "JPEG quantisation tables", "chroma and colour mode"),
        may_be_patient=False,
        removed_by_prepare=True,
        meaning="The classes were saved by different programs or settings. The network does not "
        "see the file, but its compression is in the pixels, and it can learn that instead of the "
        "patient.",
        advice=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "how the pixels were encoded",
        ("encoding seen in the pixels",),
        may_be_patient=False,
        removed_by_prepare=False,
        meaning="The pixels show the steps of a different JPEG compression in each class, whatever "
        "the file around them is now; a network sees that.",
        advice=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "the image's size",
        ("width", "height", "aspect ratio"),
        may_be_patient=False,
        removed_by_prepare=False,
        meaning="The classes come from different devices or were cropped differently. Squashed to "
        "one square, another aspect ratio is another stretch of the anatomy, which a network can "
        "see.",
        advice=(CROP, "Train with --config.augment.zoom_range, drawn for each axis by itself."),
    ),
    Explanation(
        "the fine structure",
        ("fine structure",),
        may_be_patient=True,
        removed_by_prepare=False,
        meaning="Noise, sharpness and block borders differ between the classes. Compression, "
        "resizing and the device change them, and so does the patient: an opacity hides fine "
        "structure.",
        advice=(UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Explanation(
        "the file's size",
        ("file size",),
        may_be_patient=True,
        removed_by_prepare=True,
        meaning="Where the encoding and the number of pixels are the same, it shows how much fine "
        "structure the picture has: what an earlier compression left of it, or the patient.",
        advice=(UNIFORM, COMPRESSION),
    ),
    Explanation(
        "a border or the brightness",
        ("border darkness", "mean and contrast"),
        may_be_patient=True,
        removed_by_prepare=False,
        meaning="Exposure, collimation or black borders differ between the classes. It may be the "
        "disease itself, since an opacity is bright, or it may be the device.",
        advice=(
            "Look at the images of both classes side by side.",
            "Train with --config.augment.brightness_range, --config.augment.contrast_range and "
            "--config.augment.gamma_range, and with --config.data.fit=crop against dark borders.",
            "See in the report's activation images whether the network looks at the borders.",
        ),
    ),
)
