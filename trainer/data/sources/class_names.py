"""Names of classes: their spellings, which of two is the negative one, and other names for them."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from etils import epath

from trainer.system.errors import UsageError

_NEGATIVE_WORDS = {
    *("normal", "normals", "negative", "negatives", "neg", "healthy", "control", "controls"),
    *(
        "uninfected",
        "unaffected",
        "unremarkable",
        "undiseased",
        "benign",
        "nofinding",
        "nofindings",
    ),
    *("noncovid", "clear", "clean", "absent", "none", "no", "false", "without", "0"),
}
_DENIED = re.compile(r"(?:no|non|not|without|never|un)[\s_-]+\S|No[A-Z]|[Nn]on[A-Z]|NON[A-Z]+$")
_DENIALS = ("no", "non", "not", "without", "near", "ab")


def is_negative(name: str) -> bool:
    """Returns whether a class is the one without the finding: NORMAL, No effusion, NonTB, "-"."""
    name = unicodedata.normalize("NFC", name).strip()
    if name in ("-", "\N{MINUS SIGN}", "\N{EN DASH}") or re.search(r"\w\s*-(?:ve)?$", name):
        return True
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    healthy = any(word in _NEGATIVE_WORDS - {"no", "without", "none"} for word in words[1:]) or (
        bool(words) and words[0] in _NEGATIVE_WORDS
    )
    if len(words) > 1 and words[0] in _DENIALS:
        # "No Finding" and "non-COVID" deny a finding, "not normal" denies that there is none.
        return not any(word in ("normal", "healthy", "negative", "control") for word in words[1:])
    if len(words) > 1 and "0" in words:
        healthy = any(word in _NEGATIVE_WORDS - {"0"} for word in words)
    return healthy or bool(_DENIED.match(name)) or "free" in (words[:1] + words[-1:])


def order_classes(names: Iterable[str], positive: str = "") -> list[str]:
    """Returns the class names with the negative one first: its label is 0.

    Args:
      names: the classes.
      positive: of two, the one that is the finding, in any spelling; "" where their names tell.

    Raises:
      UsageError: if there are two and it is not known which is the finding.
    """
    names = sorted(names, key=lambda name: (not is_negative(name), name))
    if positive:
        chosen = [name for name in names if spelling(name) == spelling(positive)]
        if not chosen or len(names) != 2:
            raise UsageError(
                f"--positive={positive} must name one of two classes: they are {', '.join(names)}."
            )
        return [name for name in names if name not in chosen] + chosen
    if len(names) == 2 and is_negative(names[0]) == is_negative(names[1]):
        raise UsageError(
            f"which of the two classes {names[0]} and {names[1]} is the finding is not known from "
            f"their names: give --positive={names[0]} or --positive={names[1]}."
        )
    return names


def spelling(name: str) -> str:
    """Returns what Normal, NORMAL, "normal " and other compositions of letters have in common."""
    name = unicodedata.normalize("NFC", name).strip().casefold()
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", name)


def one_spelling(names: Mapping[str, int]) -> dict[str, str]:
    """Returns for each name the most frequent spelling of its class.

    Args:
      names: how many images each spelling has.
    """
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (-names[name], name)):
        chosen.setdefault(spelling(name), unicodedata.normalize("NFC", name).strip())
    return {name: chosen[spelling(name)] for name in names}


@dataclass(frozen=True)
class LabelMap:
    """New names for labels, of which several may get one and those with "" are left out.

    Attributes:
      given: what the user wrote, for messages.
      new_names: by the `spelling` of the old name.
    """

    given: str = ""
    new_names: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        """Returns the new name of a label, or its own."""
        return self.new_names.get(spelling(name), name)

    def grouped(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Returns for each new name the places of the old ones, without those left out.

        Raises:
          UsageError: if the map has a name that is none of them.
        """
        self.check(names)
        groups: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            if new := self(name):
                groups.setdefault(new, []).append(number)
        return groups

    def check(self, names: Iterable[str]) -> None:
        """Raises UsageError if the map has a name that is none of `names`."""
        names = list(names)
        known = {spelling(name) for name in names}
        for old in self.new_names:
            if old not in known:
                raise UsageError(
                    f"--map_labels={self.given} renames {old!r}, which is no label: they are "
                    f"{', '.join(sorted(names)[:20])}."
                )


def read_map(given: str) -> LabelMap:
    """Returns the map that `--map_labels` means: "old=new,older=new", or a CSV file of old,new.

    Raises:
      UsageError: if it is neither, or gives one label two names.
    """
    pairs = [part.split("=", 1) for part in given.split(",") if part.strip()]
    if not given or "=" not in given:
        pairs = list(_pairs_of_file(given)) if given else []
    new_names: dict[str, str] = {}
    for pair in pairs:
        if len(pair) != 2 or not pair[0].strip():
            raise UsageError(
                f"--map_labels={given}: give old=new,older=new, or a file with old,new a line."
            )
        old, new = (unicodedata.normalize("NFC", part).strip() for part in pair)
        if new_names.setdefault(spelling(old), new) != new:
            raise UsageError(f"--map_labels={given} gives {old!r} two new names: leave one out.")
    return LabelMap(given, new_names)


def _pairs_of_file(given: str) -> Iterable[list[str]]:
    file = epath.Path(given)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"--map_labels={given} is no text file that can be read, and no old=new,older=new."
        ) from None
    separator = "," if "," in text else "="
    for cells in csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=separator):
        if any(cell.strip() for cell in cells) and [c.strip().lower() for c in cells] != [
            "old",
            "new",
        ]:
            yield cells
