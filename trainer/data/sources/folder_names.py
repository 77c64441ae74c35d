"""What a folder's name says of the files in it: a split, masks, a site, a patient, or nothing."""

import re
from functools import cache

_SPLIT_WORDS = {
    "train": "train|training|trn|train(?:ing)?(?:and)?val(?:id(?:ation)?)?",
    "val": "val|valid|validation|validate|validating|dev|development",
    "test": "test|testing|tst|holdout|heldout|eval|evaluation",
}
# Words that say nothing of an image's class.
_IMAGES = (
    "images?|imgs?|pics?|pictures?|radiographs?|x?rays?|cxrs?|chest|png|jpe?g|dicom|dcm|tiff?|bmp|"
    "files?|data|datasets?|database|originals?|raw|frontal|pa|ap|all|processed|resized|full|size|"
    "cropped"
)
_FILLERS = (
    f"(?:{_IMAGES}|non|not|un|augmented|aug|set|split|folder|internal|external|official|my|\\d)*"
)
_SPLITS = {
    split: re.compile(f"{_FILLERS}(?:{words}){_FILLERS}") for split, words in _SPLIT_WORDS.items()
}
_ONLY_IMAGES = re.compile(f"(?:{_IMAGES}|\\d)+")
_SITE = re.compile(
    r"(?:site|hospital|cent(?:er|re)|clinic|institut(?:ion|e)|batch|part|fold|source|scanner|vendor|"
    r"set|volume|vol|chunk|archive|shard|cohort|folder)(?:[a-z]|\d*)"
)
_PATIENT = re.compile(
    r"(?:(?:p|pt|pat|patient|subj|subject|case|id|person|study|series|exam)[ _-]*\d+\w?|\d{2,}|"
    r"\d+(?:\.\d+)+|[0-9a-f]*\d[0-9a-f]{15,})",
    re.IGNORECASE,
)
_MASK_WORD = "(?:masks?|overlays?|segm?|segmentations?|annotations?|heatmaps?|gradcam)"
_MASK_FILE = re.compile(
    rf"(?i:(?:^|[\W\d_]){_MASK_WORD}\.\w+$|^{_MASK_WORD}[\W\d_].*\.\w+$)|[a-z]Masks?\.\w+$"
)
_CHANGED = re.compile(
    "aug|augment(?:ed|ations?)?|flip(?:ped|s)?|rotat(?:ed|ions?)|mirrored|enhanced|clahe|"
    "equali[sz]ed|oversampled|blurred|noisy|segmented|masked"
)
_LAST_OF_NO_IMAGES = {
    *("segmentation", "segmentations", "annotation", "annotations", "overlay", "overlays"),
    *("contour", "contours", "groundtruth", "gt", "bbox", "bboxes", "heatmap", "heatmaps"),
    *("gradcam", "landmarks", "annotated"),
}
_WHOLE_OF_NO_IMAGES = {"label", "labels", "imagelabels", "boxes", "groundtruth", "metadata"}
# What computers keep beside a user's files.
_OF_COMPUTERS = (
    *("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
)
# What authors add to a set: pictures of their article, and what their program draws.
_FIGURES = re.compile(
    r"(?:figures?|figs?|plots?|results?|outputs?|predictions?|screenshots?|thumbnails?|thumbs?|"
    r"previews?|docs?|documentation|assets|logos?|icons?)\d*"
)
_OTHER_IMAGES = {
    **dict.fromkeys(("ct", "cts", "ctscan", "ctscans", "mri", "ultrasound"), "not radiographs"),
    **dict.fromkeys(("lateral", "laterals", "lat"), "lateral views"),
}


@cache
def split_of(name: str) -> str:
    """Returns "train", "val" or "test" where a folder, or a table's cell, is one; else ""."""
    letters = _letters(name)
    return next((split for split, form in _SPLITS.items() if form.fullmatch(letters)), "")


@cache
def left_out(name: str, any_view: bool = False) -> str:
    """Returns what a folder holds instead of radiographs, or ""."""
    words = _words(name)
    letters = "".join(words)
    if (
        letters in _WHOLE_OF_NO_IMAGES
        or re.search("masks?$", letters)
        or (words[-1:] and words[-1] in _LAST_OF_NO_IMAGES)
    ):
        return "masks, annotations and the like"
    reason = _OTHER_IMAGES.get(letters, "")
    return "" if any_view and reason == "lateral views" else reason


def is_hidden(name: str) -> bool:
    """Returns whether a folder is hidden, or one that computers keep beside a user's files."""
    return name.startswith(_OF_COMPUTERS) or (name.startswith(".") and name != "..")


def holds_figures(name: str) -> bool:
    """Returns whether a folder's images are figures, thumbnails and the like by its name."""
    return bool(_FIGURES.fullmatch(_letters(name)))


@cache
def is_changed(name: str) -> bool:
    """Returns whether a folder's images are changed by its name: COVID_aug, flipped; not NonAug."""
    words = _words(name)
    return any(
        _CHANGED.fullmatch(word) and previous not in ("non", "not", "un")
        for previous, word in zip(["", *words], words, strict=False)
    )


def is_mask_file(name: str) -> bool:
    """Returns whether a file's name begins or ends as those of masks do: 1_mask.png."""
    return bool(_MASK_FILE.search(name))


@cache
def only_holds_images(name: str) -> bool:
    """Returns whether a name such as "images" or "png_256" says no more than that."""
    letters = _letters(name)
    # Letters of other scripts, of which `letters` has none, say more.
    return bool(_ONLY_IMAGES.fullmatch(letters)) and not letters.isdecimal() and name.isascii()


@cache
def is_site(name: str) -> bool:
    """Returns whether it is a place, or a part of a set, that has a number or a letter."""
    return bool(_SITE.fullmatch(_letters(name)))


@cache
def is_patient(name: str) -> bool:
    """Returns whether it is the number of a patient or of an examination."""
    return bool(_PATIENT.fullmatch(name.strip()))


@cache
def split_words(name: str) -> frozenset[str]:
    """Returns the splits that words of a name stand for: test_normal is of test."""
    return frozenset(split for word in _words(name) if (split := split_of(word)))


def _words(name: str) -> list[str]:
    """Returns the words of NonAugmentedTrain or non_augmented-train in lower case."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z]+|\d+", parted.lower())


def _letters(name: str) -> str:
    return "".join(re.findall(r"[a-z0-9]", name.lower()))
