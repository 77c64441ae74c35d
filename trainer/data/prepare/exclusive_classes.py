"""Classes that exclude one another: every image is of exactly one of them."""

from collections.abc import Sequence
from dataclasses import replace

from trainer.data.sources.image_record import NEGATIVE, POSITIVE, ImageRecord, Source
from trainer.system.errors import UsageError


def one_class_each(records: Sequence[ImageRecord], source: Source) -> list[ImageRecord]:
    """Returns the records with one class each, the others negative; refused ones stay as they are.

    Raises:
      UsageError: if a record that can be used has none of the classes, or several.
    """
    if wrong := _without_one_class(records):
        first = wrong[0]
        pairs = zip(source.labels, first.labels, strict=True)
        found = [label for label, value in pairs if value == POSITIVE]
        raise UsageError(
            f"{len(wrong):,} of the {len(records):,} images of --source={source.name} have not "
            f"exactly one of the classes {', '.join(source.labels)}, such as "
            f"{first.place or first.name} ({' and '.join(found) or 'none'}): leave them out, "
            "or give --noexclusive, which makes each label an output of its own."
        )
    return [record if record.refused else _exclusive(record) for record in records]


def are_possible(records: Sequence[ImageRecord]) -> bool:
    """Returns whether every record that can be used has exactly one of several labels."""
    several = any(len(record.labels) > 1 for record in records)
    return several and not _without_one_class(records)


def _without_one_class(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    return [r for r in records if not r.refused and r.labels.count(POSITIVE) != 1]


def _exclusive(record: ImageRecord) -> ImageRecord:
    labels = tuple(POSITIVE if value == POSITIVE else NEGATIVE for value in record.labels)
    return record if labels == record.labels else replace(record, labels=labels)
