"""Names of labels as parts of a tag, which is a path, too."""

import hashlib
from collections import Counter
from collections.abc import Sequence

LONGEST_TAG = 64  # characters of a label's name


def tags_of(labels: Sequence[str]) -> dict[str, str]:
    """Returns each label's name as part of a tag and of a path: different for different labels.

    A name that reads the same as another's, is too long, or stands for a folder above gets a hash.
    """
    plain = {
        label: "".join(c if c.isalnum() or c in "-_." else "_" for c in label) for label in labels
    }
    counts = Counter(tag.casefold() for tag in plain.values())

    def tag_of(label: str, tag: str) -> str:
        if counts[tag.casefold()] == 1 and len(tag) <= LONGEST_TAG and tag.strip("."):
            return tag
        return f"{tag[:LONGEST_TAG]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"

    return {label: tag_of(label, tag) for label, tag in plain.items()}
