"""Fields of the config found by words of their name, meaning and values."""

import re

from trainer.config.fields import FIELDS
from trainer.system.errors import UsageError

STEM = 4  # letters of a word that are compared at least


def find(words: str) -> list[str]:
    """Returns the paths of the fields that have all words, in the order of `FIELDS`.

    The ending of a word does not count: "rotate" finds `augment.rotation_range`.

    Raises:
      UsageError: if there is none.
    """
    stems = [word[: max(STEM, len(word) - 3)] for word in re.findall(r"\w+", words.lower())]
    found = [path for path in FIELDS if stems and all(stem in _text(path) for stem in stems)]
    if not found:
        raise UsageError(
            f"--search={words} is in the name, meaning or values of no field: try another word, or "
            "radiograph train --helpfull, which lists them all."
        )
    return found


def _text(path: str) -> str:
    field = FIELDS[path]
    return " ".join([path, field.meaning, *map(str, field.choices), *field.known]).lower()
