"""How a table was read, for the user to check before any image is decoded."""

from collections.abc import Sequence

from trainer.data.sources.image_record import POSITIVE, UNKNOWN, ImageRecord
from trainer.data.sources.reading import Group, Reading, groups

SPLITS = ("train", "val", "test")


def of_records(
    records: Sequence[ImageRecord], labels: Sequence[str], classes: Sequence[str], *, how: str
) -> Reading:
    """Returns how many images have each label, and which are left out by choice.

    Args:
      records: of the table.
      labels: the names of the K labels.
      classes: the two classes where K is 1; else ().
      how: which columns the labels are from.
    """
    used = [record for record in records if not record.refused]
    counted = {name: Group() for name in classes or labels}
    for record in used:
        for label, value in zip(labels, record.labels, strict=True):
            if value == UNKNOWN:
                continue
            if value == POSITIVE or classes:
                counted[classes[value] if classes else label].add(record.name)
            if not classes:
                counted[label].known += 1
    splits = groups((record.split, record.name) for record in used)
    return Reading(
        how=how,
        classes=counted,
        finding=classes[1] if classes else "",
        splits={name: splits[name] for name in SPLITS if name in splits},
        left_out=groups((r.refused, r.name) for r in records if r.left_out),
    )
