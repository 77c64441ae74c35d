"""Which folder of a path is the class: the one whose few names repeat, or the user's choice."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trainer.data.sources import folder_names
from trainer.data.sources.class_names import is_negative, spelling
from trainer.data.sources.reading import Group
from trainer.system.errors import UsageError

Folder = tuple[str, ...]  # the folders of a path, from the outermost
DEEPEST = 4  # folders above and below a split, or from either end, that may be the class
MOST_CLASSES = 100
FEW_FILES = 3  # a name with fewer files on average is a patient's rather than a class's
MOST_SINGLE = 10  # classes of an image or two
# What is no class where the folder above it says what it answers; by its `spelling`.
ANSWERS = {"yes", "no", "true", "false", "positive", "negative", "pos", "neg", "0", "1"}
MOST_SHOWN = 4  # names of a level in a message
MOST_FOLDERS = 2**16  # of which it is kept what their names say
LEAST_COVERED = 0.9  # of what the level with the most files covers


class NoClasses(UsageError):
    """No folder is a class."""


@dataclass(frozen=True)
class Level:
    """One way to choose the class.

    Attributes:
      place: returns the place of the class among a path's folders, or None.
      folders: the place in each folder of the source that has one.
      files: the number of files of each name, by its spelling.
      shown: a name as it is written, by its spelling.
    """

    place: Callable[[Folder], int | None]
    folders: Mapping[Folder, int]
    files: Mapping[str, int]
    shown: Mapping[str, str]

    def covered(self) -> int:
        """Returns the number of files that it gives a class."""
        return sum(self.files.values())

    def number(self) -> int:
        """Returns the value of --class_level that says the same, for most of the folders."""
        from_top = {place + 1 for place in self.folders.values()}
        from_end = {place - len(folder) for folder, place in self.folders.items()}
        return (from_top if len(from_top) == 1 or len(from_end) > 1 else from_end).pop()


@lru_cache(MOST_FOLDERS)
def split_place(folder: Folder) -> int | None:
    """Returns which folder of a path names a split: the innermost that does."""
    places = [number for number, name in enumerate(folder) if folder_names.split_of(name)]
    return places[-1] if places else None


def split_of(folder: Folder) -> str:
    """Returns the split that a path's folders name, or ""."""
    place = split_place(folder)
    return "" if place is None else folder_names.split_of(folder[place])


def numbered(
    number: int, folders: Collection[Folder], source: str
) -> Callable[[Folder], int | None]:
    """Returns the place that --class_level means: from 1 at the top, or from -1 at the file.

    Args:
      number: as given.
      folders: of the images.
      source: its name, for messages.

    Raises:
      UsageError: if no path has so many folders.
    """

    def place(folder: Folder) -> int | None:
        found = number - 1 if number > 0 else len(folder) + number
        return found if 0 <= found < len(folder) else None

    if all(place(folder) is None for folder in folders):
        deepest = max(sorted(folders), key=len)
        where = f", as in {'/'.join(deepest)}" if deepest else ""
        raise UsageError(
            f"--class_level={number} is no folder of any path of --source={source}, which have "
            f"{len(deepest)} at most{where}: give 1 to {len(deepest)} from the top, or "
            f"-1 to -{len(deepest)} from the file."
            if deepest
            else f"--class_level={number}: --source={source} has no folders; where names of files "
            "tell the class, give --class_from=REGEX."
        )
    return place


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
    levels = _levels(folders)
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
        if split[folder] is None or any(number >= shared for number in _usable(folder))
    }
    if any(split_of(folder) == "train" for folder in found):
        found = {folder: count for folder, count in found.items() if split[folder] is not None}
    return found


def _levels(folders: Mapping[Folder, int]) -> list[Level]:
    """Returns the levels that differ."""
    places: list[Callable[[Folder], int | None]] = []
    for depth in range(DEEPEST):
        places += [_below(depth), _below(-1 - depth), _above(-1 - depth)]
    found: dict[frozenset, Level] = {}
    for place in places:
        chosen = {f: number for f in folders if (number := place(f)) is not None}
        if chosen:
            found.setdefault(frozenset(chosen.items()), _level(place, chosen, folders))
    return list(found.values())


def _level(
    place: Callable[[Folder], int | None], chosen: dict[Folder, int], folders: Mapping[Folder, int]
) -> Level:
    files: dict[str, int] = defaultdict(int)
    shown: dict[str, str] = {}
    for folder, number in chosen.items():
        key = spelling(folder[number])
        files[key] += folders[folder]
        shown.setdefault(key, folder[number])
    return Level(place, chosen, dict(files), shown)


@lru_cache(MOST_FOLDERS)
def _usable(folder: Folder) -> list[int]:
    """Returns the places of the folders that may be a class."""
    return [
        number
        for number, name in enumerate(folder)
        if not folder_names.split_of(name)
        and not folder_names.only_holds_images(name)
        and not (number and name == folder[number - 1])
    ]


def _item(places: Sequence[int], number: int) -> int | None:
    return places[number] if -len(places) <= number < len(places) else None


def _below(number: int) -> Callable[[Folder], int | None]:
    """Returns the place of a folder below the split, or anywhere where there is no split."""

    def place(folder: Folder) -> int | None:
        split = split_place(folder)
        return _item([n for n in _usable(folder) if split is None or n > split], number)

    return place


def _above(number: int) -> Callable[[Folder], int | None]:
    """Returns the place of a folder above the split, or anywhere where there is no split."""

    def place(folder: Folder) -> int | None:
        split = split_place(folder)
        return _item([n for n in _usable(folder) if split is None or n < split], number)

    return place


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
