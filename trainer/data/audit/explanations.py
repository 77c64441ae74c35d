"""What it means when something that is not the patient tells a label, and which options help."""

from dataclasses import dataclass

UNIFORM = "Prepare with --uniform, which encodes every image alike."
COMPRESSION = (
    "Train with --config.augment.compression_range and --config.augment.blur_range, which "
    "compress and blur each image by another amount, so that the amount tells nothing."
)
AUDIT_AGAIN = "Audit the prepared data set (--source=DATA) to see what is left of it."
CROP = (
    "Train with --config.data.fit=crop instead of squash, which makes the aspect ratio visible as "
    "stretched anatomy; pad would show it as bars."
)


@dataclass(frozen=True)
class Kind:
    """Traces that are explained together.

    Attributes:
      title: what tells the label.
      groups: their names in `file_features.GROUPS`.
      may_be_patient: whether the label itself may be what is measured.
      of_file: whether they belong to the file alone, of which a prepared image shows nothing.
      meaning, advice: see Finding.
    """

    title: str
    groups: tuple[str, ...]
    may_be_patient: bool
    of_file: bool
    meaning: str
    advice: tuple[str, ...]


KINDS = (
    Kind(
        "how the file is encoded",
        ("EXIF present", "file format", "JPEG quantisation tables", "chroma and colour mode"),
        False,
        True,
        "The classes were saved by different programs or settings. The network does not see the "
        "file, but its compression is in the pixels, and it can learn that instead of the patient.",
        (UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Kind(
        "how the pixels were encoded",
        ("encoding seen in the pixels",),
        False,
        False,
        "The pixels bear the steps of another JPEG compression in each class, whatever the file "
        "around them is now; a network sees that.",
        (UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Kind(
        "the image's size",
        ("width", "height", "aspect ratio"),
        False,
        False,
        "The classes come from different devices or were cropped differently. Squashed to one "
        "square, another aspect ratio is another stretch of the anatomy, which a network can see.",
        (CROP, "Train with --config.augment.zoom_range, drawn for each axis by itself."),
    ),
    Kind(
        "the fine structure",
        ("fine structure",),
        True,
        False,
        "Noise, sharpness and block borders differ between the classes. Compression, resizing and "
        "the device change them, and so does the patient: an opacity hides fine structure.",
        (UNIFORM, COMPRESSION, AUDIT_AGAIN),
    ),
    Kind(
        "the file's size",
        ("file size",),
        True,
        True,
        "Where the encoding and the number of pixels are the same, it says how much fine structure "
        "the picture has: what an earlier compression left of it, or the patient.",
        (UNIFORM, COMPRESSION),
    ),
    Kind(
        "a border or the brightness",
        ("border darkness", "mean and contrast"),
        True,
        False,
        "Exposure, collimation or black borders differ between the classes. It may be the disease "
        "itself, since an opacity is bright, or it may be the device.",
        (
            "Look at the images of both classes side by side.",
            "Train with --config.augment.brightness_range, --config.augment.contrast_range and "
            "--config.augment.gamma_range, and with --config.data.fit=crop against dark borders.",
            "See in the report's activation images whether the network looks at the borders.",
        ),
    ),
)
