"""Rows of one image united: of several boxes, or of readers who may disagree."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from trainer.data.sources import kept_columns
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN, ImageRecord

DIFFER = "its rows differ in labels; --readers=any or --readers=majority unites them"


def unite(rows: Sequence[tuple[ImageRecord, str]], rule: str) -> ImageRecord:
    """Returns one record for the rows of an image.

    Args:
      rows: the record of each row, and who read it; "" where nobody is named.
      rule: "any": a label holds that any row gives. "majority": one that more than half of the
        readers who know it give; a reader gives what any of her rows does. "": rows must agree.

    Returns:
      The first row's record, refused where the rows contradict each other.
    """
    records = [record for record, _ in rows]
    first = next((record for record in records if not record.refused), records[0])
    usable = [(record, reader) for record, reader in rows if not record.refused]
    if first.columns:
        first = replace(first, columns=kept_columns.agreed([record.columns for record in records]))
    if first.refused or len(usable) == 1:
        return first
    unknown = (UNKNOWN,) * len(first.labels)
    for name in ("patient", "split"):
        if any(getattr(record, name) != getattr(first, name) for record, _ in usable):
            return replace(first, labels=unknown, refused=f"its rows differ in {name}")
    if len({record.labels for record, _ in usable}) == 1:
        return first
    if not rule:
        return replace(first, labels=unknown, refused=DIFFER)
    by_reader: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for record, reader in usable:
        by_reader[reader].append(record.labels)
    votes = [_any(labels) for labels in by_reader.values()]
    return replace(first, labels=_any(votes) if rule == "any" else _majority(votes))


def _any(labels: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(max(values) for values in zip(*labels, strict=True))


def _majority(votes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    def decide(values: tuple[int, ...]) -> int:
        known = [value for value in values if value != UNKNOWN]
        if not known:
            return UNKNOWN
        return POSITIVE if 2 * known.count(POSITIVE) > len(known) else NEGATIVE

    return tuple(decide(values) for values in zip(*votes, strict=True))
