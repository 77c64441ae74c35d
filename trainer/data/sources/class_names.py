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
    *("negativ", "negativo", "negativa", "negatif", "normale", "sano", "sanos", "sain", "gesund"),
    *("noncovid", "clear", "clean", "absent", "none", "no", "false", "without", "0"),
}
_IN_OTHER_LETTERS = {
    *("négatif", "négative", "unauffällig", "sağlıklı", "норма", "здоровые"),
    *("正常", "健康", "阴性", "陰性", "정상"),
}
_DENIED = re.compile(r"(?:no|non|not|without|never|un)[\s_-]+\S|No[A-Z]|[Nn]on[A-Z]|NON[A-Z]+$")
# How the `spelling` of a folder ends that a computer copied or unpacked beside one of its name.
_COPY = re.compile(r"(?: ?\(\d+\)| (?:copy|kopie|copie|copia)(?: ?\(?\d+\)?)?)+$")
_DENIALS = ("no", "non", "not", "without", "near", "ab")


def is_negative(name: str) -> bool:
    """Returns whether a class is the one without the finding: NORMAL, No effusion, NonTB, "-"."""
    name = unicodedata.normalize("NFC", name).strip()
    if name.casefold() in _IN_OTHER_LETTERS:
        return True
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
    names = list(names)
    denied = {name for name in names if any(_denies(name, other) for other in names)}
    negative = {name for name in names if is_negative(name)} | denied
    names.sort(key=lambda name: (name not in negative, name))
    if positive:
        chosen = [name for name in names if spelling(name) == spelling(positive)]
        if not chosen or len(names) != 2:
            raise UsageError(
                f"--positive={positive} must name one of two classes: they are {', '.join(names)}."
            )
        return [name for name in names if name not in chosen] + chosen
    if len(names) == 2 and len(negative) != 1:
        raise UsageError(
            f"which of the two classes {names[0]} and {names[1]} is the finding is not known from "
            f"their names: give --positive={names[0]} or --positive={names[1]}."
        )
    return names


def _denies(name: str, other: str) -> bool:
    """Returns whether a class is named as having no other: nonnodule beside nodule."""
    one, of = (spelling(n).replace(" ", "") for n in (name, other))
    return one in ("no" + of, "non" + of, "not" + of) and not is_negative(other)


@lru_cache(2**12)
def spelling(name: str) -> str:
    """Returns what Normal, NORMAL, "normal " and other compositions of letters have in common.

    COVID-19 and COVID19 are one too, and characters of no width do not count.
    """
    name = "".join(c for c in name if unicodedata.category(c) != "Cf")
    name = unicodedata.normalize("NFC", name).strip().casefold()
    name = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", name)
    return re.sub(r"(?<=[^\W\d]) (?=\d)", "", name)


def one_spelling(names: Mapping[str, int], *, copies: bool = False) -> dict[str, str]:
    """Returns for each name the most frequent spelling of its class.

    Args:
      names: how many images each spelling has.
      copies: whether "NORMAL (1)" and "NORMAL - Copy" beside "NORMAL" are that class, as folders
        are named that a computer copies or unpacks beside one of the same name.
    """
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (-names[name], name)):
        chosen.setdefault(spelling(name), unicodedata.normalize("NFC", name).strip())
    if copies:
        for key in sorted(chosen, key=len):
            if (original := _COPY.sub("", key)) in chosen:
                chosen[key] = chosen[original]
    return {name: chosen[spelling(name)] for name in names}
