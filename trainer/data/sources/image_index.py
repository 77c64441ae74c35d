"""Finds the images of a table below a folder, wherever its paths start from."""

import unicodedata
import urllib.parse
from collections.abc import Iterable, Sequence
from functools import cache

from trainer.data.sources import image_files


def find(paths: Iterable[str], names: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Returns the file of each path, and the ambiguous paths, which match several files.

    A path matches a file's whole name, or the end of it (A.png matches images_001/images/A.png),
    with or without the suffix, or with another suffix of images, else in any case, else as a URL
    writes it (%20). Where no path matches, the first folder is left off all of them, and so on:
    "CheXpert-v1.0-small/train/..." is found from inside that folder. A letter with an accent is the
    same whether it is stored as one character or as two, as macOS does.

    Args:
      paths: as the table has them.
      names: files below the folder, "/" between folders.
    """
    written = {_composed(name): name for name in names}
    if len(written) == len(names):
        parts = {path: _parts(_composed(path)) for path in paths}
    else:  # names that only this tells apart
        written = {name: name for name in names}
        parts = {path: _parts(path) for path in paths}
    index = _Index(list(written))
    for left_off in range(max(map(len, parts.values()), default=0)):
        found = {path: index.find(p[left_off:]) for path, p in parts.items() if p[left_off:]}
        if any(found.values()):
            files = {path: written[match[0]] for path, match in found.items() if len(match) == 1}
            return files, {path for path, matches in found.items() if len(matches) > 1}
    return {}, set()


def is_written_otherwise(path: str, file: str) -> bool:
    """Returns whether a path has another suffix than the file found for it, or other letters."""
    asked, found = (_composed(name).replace("\\", "/").rpartition("/")[2] for name in (path, file))
    stem = found.rpartition(".")[0]
    if asked in (found, stem):
        return False
    return image_files.has_suffix(asked) or asked.casefold() == stem.casefold()


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Returns the images below each folder, by the folder's own name; [] where there is none."""
    folders: dict[str, list[str]] = {}
    for name in names:
        for folder in name.split("/")[:-1]:
            images = folders.setdefault(folder, [])
            if image_files.has_suffix(name):
                images.append(name)
    return folders


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(p for p in path.replace("\\", "/").split("/") if p not in ("", "."))


class _Index:
    def __init__(self, names: Sequence[str]):
        self._names = names
        self._whole = frozenset(names)
        self._ends = cache(self._index_ends)

    def find(self, parts: tuple[str, ...]) -> Sequence[str]:
        """Returns the files that match a path: none, one, or the first two of several."""
        path = "/".join(parts)
        return self._find(path) or (self._find(urllib.parse.unquote(path)) if "%" in path else ())

    def _find(self, path: str) -> Sequence[str]:
        if path in self._whole:
            return (path,)
        stem, dot, suffix = path.rpartition(".")
        other = stem if dot and f".{suffix}".lower() in image_files.SUFFIXES else ""
        depth = path.count("/") + 1
        for any_case in (False, True):
            for end, without_suffix in ((path, False), (path, True), (other, True)):
                ends = self._ends(depth, without_suffix, any_case)
                if end and (matches := ends.get(end.casefold() if any_case else end)):
                    return matches
        return ()

    def _index_ends(
        self, depth: int, without_suffix: bool, any_case: bool
    ) -> dict[str, tuple[str, ...]]:
        """Returns the files by the last `depth` parts of their name."""
        ends: dict[str, tuple[str, ...]] = {}
        for name in self._names:
            folders = name.rsplit("/", depth)
            end = name if len(folders) <= depth else name[len(folders[0]) + 1 :]
            if end.count("/") != depth - 1:
                continue
            if without_suffix:
                stem, dot, suffix = end.rpartition(".")
                if not dot or "/" in suffix:
                    continue
                end = stem
            if any_case:
                end = end.casefold()
            ends[end] = (*ends.get(end, ()), name)[:2]
        return ends
