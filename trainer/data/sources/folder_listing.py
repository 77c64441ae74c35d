"""The files of class folders, each with its place, or the reason why it is left out."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from trainer.data.sources import (
    changed_copies,
    class_level,
    class_names,
    dicom_folder,
    folder_level,
    image_files,
    label_map,
    left_out,
    name_pattern,
)
from trainer.data.sources.files import Files
from trainer.data.sources.findings import names_nothing
from trainer.data.sources.folder_level import Folder
from trainer.data.sources.options import Options
from trainer.data.sources.reading import Group, Reading, groups
from trainer.system.errors import UsageError

SPLITS = ("train", "val", "test")
NO_CLASS = "without a class folder"
UNLABELLED = "no folder is a class: an unlabelled set, for prediction alone"
SIMILAR = 0.7  # names of classes, from 0 to 1
MOST_FOLDERS = 2**16  # whose reading is kept


@dataclass(frozen=True)
class Place:
    """Where a file lies: train/NORMAL/a.png, or NORMAL/a.png with a split of ""."""

    split: str
    class_name: str
    file: str


class Listing:
    """The files of a source.

    Attributes:
      places: each file that is used or must not be read, with its place.
      left_out: the others, by the reason.
      how: what decides the class, in words.
    """

    def __init__(self, source: str, content: Files, options: Options):
        """Reads the names; and of files without a known suffix the first bytes.

        Raises:
          UsageError: if there are no images, or it is not known which folder is the class.
        """
        self._source, self._content, self._options = source, content, options
        self.left_out: dict[str, Group] = {}
        names, refused = self._images()
        self._map = label_map.read_map(options.map_labels)
        try:
            if options.unlabelled:
                raise class_level.NoClasses("none is asked for")
            self._read_classes(names, refused)
        except class_level.NoClasses:
            if not (options.unlabelled or self._may_be_unlabelled(names)):
                raise
            self.how = UNLABELLED
            self.places = [(name, Place("", "", name)) for name in sorted([*names, *refused])]
            self._used = dict(self.places)

    def _may_be_unlabelled(self, names: Sequence[str]) -> bool:
        """Returns whether these are DICOM files, and nothing was said of their classes."""
        said = set(self._options.of_classes()) - {f"exclude={self._options.exclude}"}
        return not said and dicom_folder.has_dicom(self._content, names)

    def _read_classes(self, names: Sequence[str], refused: Sequence[str]) -> None:
        self.how, place_of = self._rule(names)
        found = {name: place for name in names if (place := self._placed(name, place_of))}
        found = self._inside_of_splits(found)
        counts = Counter(place.class_name for place in found.values())
        self._spellings = class_names.one_spelling(counts, copies=True)
        self._map.check(self._spellings.values())
        found = self._renamed(found)
        self._refuse_misspelled(found.values())
        found = self._without_copies(found)
        self._used = found
        self._in_train = {place.class_name for place in found.values() if place.split == "train"}
        known = {place.class_name for place in found.values()}
        harmful = []
        for name in refused:
            place = place_of(name)
            place = self._rename(place) if place else Place("", "", name)
            if place.class_name in known or image_files.has_suffix(name):
                harmful.append((name, place))
            else:
                self._leave_out(self._content.refused[name], name)
        self.places = sorted([*found.items(), *harmful], key=lambda pair: pair[0])
        counted = groups((place.class_name, name) for name, place in sorted(found.items()))
        class_level.refuse_single_images(counted, self._source, self.how)

    def reading(self) -> Reading:
        """Returns how the files were read.

        Raises:
          UsageError: if there is one class only, or it is not known which of two is the finding.
        """
        if self.how == UNLABELLED:
            return Reading(self.how, {}, left_out=self.left_out)
        classes = groups((p.class_name, name) for name, p in sorted(self._used.items()))
        if len(classes) < 2:
            there = f"the one class {next(iter(classes))}" if classes else "no class"
            raise UsageError(
                f"--source={self._source} has {there}{self._what_is_there()}: two are needed."
            )
        names = class_names.order_classes(classes, self._options.positive)
        written: dict[str, set[str]] = defaultdict(set)
        for old, new in self._spellings.items():
            written[self._map(new)].add(old)
        for name in names:
            if len(written[name]) > 1:
                classes[name].written = tuple(sorted(written[name]))
            if self._in_train and name not in self._in_train:
                classes[name].note = "in no image of train, which cannot teach it"
        in_splits = groups((p.split, name) for name, p in sorted(self._used.items()))
        return Reading(
            how=self.how,
            classes={name: classes[name] for name in names},
            finding=names[1] if len(names) == 2 else "",
            splits={split: in_splits[split] for split in SPLITS if split in in_splits},
            left_out=self.left_out,
        )

    def _leave_out(self, reason: str, name: str) -> None:
        self.left_out.setdefault(reason, Group()).add(name)

    def _images(self) -> tuple[list[str], list[str]]:
        """Returns the images, the least deep first, and the files that must not be read."""
        candidates, refused = [], []
        for name in sorted(self._content.stamps, key=lambda n: (n.count("/"), n)):
            if reason := left_out.reason(name, self._options):
                self._leave_out(reason, name)
            elif name in self._content.refused:
                refused.append(name)
            else:
                candidates.append(name)
        images = image_files.among(candidates, self._content)
        for name in candidates:
            if name not in images:
                self._leave_out(image_files.kind(name), name)
        names = [name for name in candidates if name in images]
        left_out.refuse_idle(self._options, self._content.stamps, self._source)
        if not names:
            for name in refused:
                self._leave_out(self._content.refused[name], name)
            raise UsageError(
                f"--source={self._source} holds no images in class folders{self._what_is_there()}: "
                "it should hold train/CLASS/FILE and test/CLASS/FILE, or CLASS/FILE."
            )
        return names, refused

    def _what_is_there(self) -> str:
        seen = [f"{g.files:,} of {reason}" for reason, g in self.left_out.items()]
        return f" (but {', '.join(seen)})" if seen else ""

    def _rule(self, names: Sequence[str]) -> tuple[str, Callable[[str], Place | None]]:
        """Returns what decides the class, in words, and the place of a file."""
        if self._options.class_from:
            pattern = self._options.class_from
            return f"the class is what --class_from={pattern} finds", _by_name(pattern, names)
        folders = Counter(_folders(name) for name in names)
        if self._options.class_level:
            place = folder_level.numbered(self._options.class_level, folders, self._source)
            return f"the class is folder {self._options.class_level} of a path", _by_folder(place)
        level = class_level.find(folders, self._source, self._what_is_there())
        changed_copies.refuse(folders, level, self._source)
        number = level.number()
        return (
            f"the class is folder {number} of a path (--class_level={number})",
            _by_folder(level.place),
        )

    def _placed(self, name: str, place_of: Callable[[str], Place | None]) -> Place | None:
        place = place_of(name)
        if place is None:
            split = folder_level.split_of(_folders(name))
            self._leave_out(f"{NO_CLASS}, in the split {split}" if split else NO_CLASS, name)
        return place

    def _inside_of_splits(self, found: Mapping[str, Place]) -> dict[str, Place]:
        """Leaves out what lies beside the splits, where one of them is train."""
        if not any(place.split == "train" for place in found.values()):
            return dict(found)
        for name, place in found.items():
            if not place.split:
                self._leave_out("outside of the folders train, val and test", name)
        return {name: place for name, place in found.items() if place.split}

    def _rename(self, place: Place) -> Place:
        name = unicodedata.normalize("NFC", place.class_name).strip()
        name = self._map(self._spellings.get(place.class_name, name))
        return Place(place.split, name, place.file)

    def _renamed(self, found: Mapping[str, Place]) -> dict[str, Place]:
        renamed = {name: self._rename(place) for name, place in found.items()}
        for name, place in renamed.items():
            if not place.class_name:
                self._leave_out(f"a class that --map_labels={self._map.given} leaves out", name)
            elif names_nothing(place.class_name):
                old, kept = place.class_name, f"--map_labels={place.class_name}=NAME"
                self._leave_out(f"{old}, which names no class ({kept} makes it one)", name)
                renamed[name] = replace(place, class_name="")
        return {name: place for name, place in renamed.items() if place.class_name}

    def _refuse_misspelled(self, found: Iterable[Place]) -> None:
        """Raises UsageError if train alone has one class and other splits one of a similar name."""
        splits: dict[str, set[str]] = defaultdict(set)
        for place in found:
            splits[place.class_name].add(place.split)
        trained = {class_names.spelling(n): n for n, parts in splits.items() if parts == {"train"}}
        untrained = [name for name, parts in splits.items() if "train" not in parts]
        for name in sorted({*untrained} - {*self._map.new_names.values()}):
            for match in get_close_matches(class_names.spelling(name), trained, 1, SIMILAR):
                other, parts = trained[match], " and ".join(sorted(splits[name]))
                raise UsageError(
                    f"--source={self._source} has the class {other} in train alone and {name} in "
                    f"{parts} alone: if they are one class, give --map_labels='{name}={other}', "
                    f"else --map_labels='{name}={name}'."
                )

    def _without_copies(self, found: Mapping[str, Place]) -> dict[str, Place]:
        """Leaves out the deeper of two identical files that have one place.

        The public archive holds a second copy of itself one folder deeper; two sites hold different
        images under one name.
        """
        sizes = {name: self._content.stamps[name].partition(" ")[0] for name in found}
        alike = Counter((place, sizes[name]) for name, place in found.items())
        kept: dict[str, Place] = {}
        seen: set[tuple[Place, str]] = set()
        for name, place in found.items():
            if alike[place, sizes[name]] > 1:
                content = place, self._content.content(name)
                if content in seen:
                    self._leave_out("copies, identical to a file that is read", name)
                    continue
                seen.add(content)
            kept[name] = place
        return kept


@lru_cache(MOST_FOLDERS)
def _folder(path: str) -> Folder:
    return tuple(part for part in path.split("/") if part)


def _folders(name: str) -> Folder:
    return _folder(name.rpartition("/")[0])


def _by_folder(place: Callable[[Folder], int | None]) -> Callable[[str], Place | None]:
    @lru_cache(MOST_FOLDERS)
    def in_folder(path: str) -> tuple[str, str, str] | None:
        """Returns the split, the class, and the folders within both."""
        folder = _folder(path)
        number = place(folder)
        if number is None:
            return None
        split = folder_level.split_place(folder)
        end = number if split is None else max(number, split)
        named = "" if split in (None, number) else folder_level.split_of(folder)
        return named, folder[number], "".join(f"{name}/" for name in folder[end + 1 :])

    def found(name: str) -> Place | None:
        path, _, file = name.rpartition("/")
        place_of_folder = in_folder(path)
        if place_of_folder is None:
            return None
        split, class_name, inside = place_of_folder
        return Place(split, class_name, inside + file)

    return found


def _by_name(pattern: str, names: Sequence[str]) -> Callable[[str], Place | None]:
    class_of = name_pattern.finder(names, pattern, flag="class_from", group="class")

    def found(name: str) -> Place | None:
        class_name = class_of(name)
        return (
            Place(folder_level.split_of(_folders(name)), class_name, name) if class_name else None
        )

    return found
