"""Names of classes: their spellings, and which of two is the negative one."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

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


@lru_cache(2**12)
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
