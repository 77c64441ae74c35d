"""Which folder of a path is the class: the one whose few names repeat, or the user's choice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from trainer.data.sources import folder_names
from trainer.data.sources.class_names import is_negative, spelling
from trainer.data.sources.folder_level import (
    Folder,
    Level,
    levels_of,
    split_of,
    split_place,
    usable,
)
from trainer.data.sources.reading import Group
from trainer.system.errors import UsageError

MOST_CLASSES = 100
FEW_FILES = 3  # a name with fewer files on average is a patient's rather than a class's
MOST_SINGLE = 10  # classes of an image or two
# What is no class where the folder above it says what it answers; by its `spelling`.
ANSWERS = {"yes", "no", "true", "false", "positive", "negative", "pos", "neg", "0", "1"}
MOST_SHOWN = 4  # names of a level in a message
LEAST_COVERED = 0.9  # of what the level with the most files covers


class NoClasses(UsageError):
    """No folder is a class."""


def find(folders: Mapping[Folder, int], source: str, left_out: str = "") -> Level:
    """Returns the one level that can be the classes.

    Args:
      folders: the number of images in each.
      source: its name, for messages.
      left_out: what else there is, for messages.

    Raises:
      NoClasses: if no level can be.
      UsageError: if several can.
    """
    folders = _with_classes(folders)
    levels = levels_of(folders)
    several = [level for level in levels if len(level.files) > 1]
    if not several:
        _refuse_none(levels, source, left_out)
    likely = _likely(several)
    images = sum(folders.values())
    if len(likely) == 1 and 2 * likely[0].covered() < images:
        raise UsageError(
            f"--source={source} gives {likely[0].covered():,} of {images:,} images a class "
            f"({_names(likely[0])}): take these with --class_level={likely[0].number()}, or leave "
            "the others out with --exclude=GLOB."
        )
    if not likely:
        shown = "; ".join(_names(level) for level in several)
        raise NoClasses(
            f"--source={source} has no folders that are classes ({shown}): give a table with "
            "labels, the folder with --class_level=N, or a part of names with --class_from=REGEX."
        )
    if len(likely) > 1:
        lines = [
            f"--source={source} can be read in {len(likely)} ways: choose the folder that is "
            "the class with --class_level, or leave files out with --exclude=GLOB.",
            *(f"  --class_level={level.number():<3} {_names(level)}" for level in likely),
        ]
        raise UsageError("\n".join(lines))
    return likely[0]


def refuse_single_images(classes: Mapping[str, Group], source: str, how: str) -> None:
    """Raises NoClasses if there are many classes and nearly each image has one of its own."""
    images = sum(group.files for group in classes.values())
    if len(classes) > MOST_SINGLE and images < 2 * len(classes):
        raise NoClasses(
            f"--source={source} has {len(classes):,} classes for {images:,} images, such as "
            f"{min(classes)}, since {how}: choose the folder with --class_level=N, a part of names "
            "with --class_from=REGEX, or give a table with labels."
        )


def _with_classes(folders: Mapping[Folder, int]) -> Mapping[Folder, int]:
    """Returns the folders that tell the class: not a flat test/, nor what lies beside train/."""
    first, last = min(folders), max(folders)
    pairs = enumerate(zip(first, last, strict=False))
    shared = next((n for n, (a, b) in pairs if a != b), len(first))
    split = {folder: split_place(folder) for folder in folders}
    found = {
        folder: count
        for folder, count in folders.items()
        if split[folder] is None or any(number >= shared for number in usable(folder))
    }
    if any(split_of(folder) == "train" for folder in found):
        found = {folder: count for folder, count in found.items() if split[folder] is not None}
    return found


def _likely(levels: Sequence[Level]) -> list[Level]:
    """Returns the levels that can be classes; each rule applies where it leaves one or more."""
    levels = [
        level
        for level in levels
        if len(level.files) <= MOST_CLASSES
        and not _names_something_else(level)
        and not _has_classes_within(level)
    ]
    most = max((level.covered() for level in levels), default=0)
    levels = [level for level in levels if level.covered() >= LEAST_COVERED * most]
    for rule in (_repeats, _has_enough_files, _has_negative):
        levels = [level for level in levels if rule(level)] or levels
    return levels


def _names_something_else(level: Level) -> bool:
    """Returns whether the names are of sites, of patients, or of splits and classes at once."""
    patients = sum(map(folder_names.is_patient, level.shown.values()))
    words = [folder_names.split_words(name) for name in level.shown.values()]
    return (
        2 * patients >= len(level.files)
        or any(map(folder_names.is_site, level.shown.values()))
        or len(frozenset().union(*words)) > 1
    )


def _has_classes_within(level: Level) -> bool:
    """Returns whether a class holds others: hospital/NORMAL beside NORMAL, set/NORMAL in set."""
    paths = {folder[: place + 1] for folder, place in level.folders.items()}
    return any(path[:depth] in paths for path in paths for depth in range(1, len(path))) or any(
        spelling(name) in level.files and spelling(name) != spelling(folder[place])
        for folder, place in level.folders.items()
        for name in folder[place + 1 :]
    )


def _repeats(level: Level) -> bool:
    """Returns whether two names or more are in more than one split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for folder, place in level.folders.items():
        if split := split_of(folder):
            splits[spelling(folder[place])].add(split)
    return sum(len(found) > 1 for found in splits.values()) > 1


def _has_enough_files(level: Level) -> bool:
    return level.covered() >= FEW_FILES * len(level.files)


def _has_negative(level: Level) -> bool:
    """Returns whether a name is of no finding, and not merely an answer: pneumonia/no, edema/no."""
    return any(map(is_negative, level.shown.values())) and not set(level.files) <= ANSWERS


def _refuse_none(levels: Sequence[Level], source: str, left_out: str) -> None:
    single = [name for level in levels for name in level.shown.values()]
    if not single:
        raise NoClasses(
            f"--source={source} holds no images in class folders{left_out}: it should hold "
            "train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE; where names of files tell the "
            "class, give --class_from=REGEX."
        )
    raise NoClasses(
        f"--source={source} has the one class {single[-1]}{left_out}: two are needed; where "
        "names of files tell the class, give --class_from=REGEX."
    )


def _names(level: Level) -> str:
    ordered = sorted(level.files, key=lambda key: (-level.files[key], key))
    shown = ", ".join(f"{level.shown[key]} ({level.files[key]:,})" for key in ordered[:MOST_SHOWN])
    more = f" and {len(ordered) - MOST_SHOWN:,} more" if len(ordered) > MOST_SHOWN else ""
    folder = min(level.folders)
    return f"{shown}{more}, for example in {'/'.join(folder)}"
