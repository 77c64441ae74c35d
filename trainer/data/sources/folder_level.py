"""The ways to choose which folder of a path is the class, a level each."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trainer.data.sources import folder_names
from trainer.data.sources.class_names import spelling
from trainer.system.errors import UsageError

Folder = tuple[str, ...]  # the folders of a path, from the outermost
DEEPEST = 4  # folders above and below a split, or from either end, that may be the class
MOST_FOLDERS = 2**16  # of which it is kept what their names say


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


def levels_of(folders: Mapping[Folder, int]) -> list[Level]:
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
def usable(folder: Folder) -> list[int]:
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
        return _item([n for n in usable(folder) if split is None or n > split], number)

    return place


def _above(number: int) -> Callable[[Folder], int | None]:
    """Returns the place of a folder above the split, or anywhere where there is no split."""

    def place(folder: Folder) -> int | None:
        split = split_place(folder)
        return _item([n for n in usable(folder) if split is None or n < split], number)

    return place
