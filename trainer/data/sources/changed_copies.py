"""Folders that, by their names, hold changed copies of other images, such as augmented ones."""

from collections import defaultdict
from collections.abc import Iterable

from trainer.data.sources import class_level, folder_level, folder_names
from trainer.data.sources.folder_level import Folder, Level
from trainer.system.errors import UsageError


def refuse(folders: Iterable[Folder], level: Level, source: str) -> None:
    """Refuses folders that may hold changed copies of the images of other folders.

    Args:
      folders: of all images.
      level: the folder of a path that is the class.
      source: its name.

    Raises:
      UsageError: with the flags that decide.
    """
    _refuse_augmented_split(folders, source)
    _refuse_changed(level, source)


def _refuse_augmented_split(folders: Iterable[Folder], source: str) -> None:
    """Refuses two folders of one split where the one may hold turned copies of the other.

    Raises:
      UsageError: with the flags that decide.
    """
    named: dict[tuple[Folder, str], set[str]] = defaultdict(set)
    for folder in folders:
        place = folder_level.split_place(folder)
        if place is not None:
            named[folder[:place], folder_level.split_of(folder)].add(folder[place])
    for (_, split), names in named.items():
        if len(names) > 1 and any("aug" in name.lower() for name in names):
            ordered = sorted(names)
            raise UsageError(
                f"--source={source} has {len(names)} folders of the split {split}, "
                f"{' and '.join(ordered)}, and one may hold changed copies of the other's images: "
                f"leave one out with --exclude={ordered[0]} or --exclude={ordered[1]}, or take "
                "both with --class_level=N."
            )


def _refuse_changed(level: Level, source: str) -> None:
    """Raises UsageError if some folders, by their names, hold changed copies of other images."""
    names = {folder: list(filter(folder_names.is_changed, folder)) for folder in level.folders}
    changed = list(dict.fromkeys(name for found in names.values() for name in found))
    shown = changed[: class_level.MOST_SHOWN]
    if changed and not all(names.values()):
        raise UsageError(
            f"--source={source} has folders {' and '.join(shown)}, which may hold "
            "changed copies of the other images: leave them out with "
            f"{' '.join(f'--exclude={name}' for name in shown)}, or take them with "
            f"--class_level={level.number()}."
        )
