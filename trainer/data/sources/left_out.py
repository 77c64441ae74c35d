"""Which files of class folders are left out by their path alone, and why."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from trainer.data.sources import folder_names
from trainer.data.sources.options import Options
from trainer.system.errors import UsageError

HIDDEN = "hidden files"
INDEX = "indexes of DICOM files"
FIGURES = "figures and the like"
MOST_FOLDERS = 2**16  # whose reading is kept


def reason(name: str, options: Options) -> str:
    """Returns why a file is left out by its path alone, or ""."""
    path, _, file = name.rpartition("/")
    if file.startswith((".", "__MACOSX")):
        return HIDDEN
    if file.upper() == "DICOMDIR":
        return INDEX
    if found := _of_folder(path, options):
        return found
    for pattern in options.exclude:
        if _matches(pattern, (file, name)):
            return f"--exclude={pattern}"
    return "masks, by the names of files" if folder_names.is_mask_file(file) else ""


def refuse_idle(options: Options, names: Collection[str], source: str) -> None:
    """Raises UsageError if a pattern of --exclude matches none of the source's files."""
    for pattern in options.exclude:
        if not any(_matches(pattern, _all_parts(name)) for name in names):
            raise UsageError(
                f"--exclude={pattern} matches no file and no folder of --source={source}: correct "
                "it, its upper and lower case too, or leave it out."
            )


@lru_cache(MOST_FOLDERS)
def _of_folder(path: str, options: Options) -> str:
    folder = [part for part in path.split("/") if part]
    if any(map(folder_names.is_hidden, folder)):
        return HIDDEN
    for pattern in options.exclude:
        if _matches(pattern, _leading(folder)):
            return f"--exclude={pattern}"
    for name in folder:
        if found := folder_names.left_out(name, options.any_view):
            return f"{found} (folders {name})"
    if folder and folder_names.holds_figures(folder[-1]):
        return f"{FIGURES} (folders {folder[-1]})"
    return ""


def _all_parts(name: str) -> list[str]:
    return _leading([part for part in name.split("/") if part])


def _leading(parts: list[str]) -> list[str]:
    """Returns each part of a path, and each beginning of it."""
    return [*parts, *("/".join(parts[: n + 1]) for n in range(len(parts)))]


def _matches(pattern: str, texts: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern.strip("/")) for text in texts)
