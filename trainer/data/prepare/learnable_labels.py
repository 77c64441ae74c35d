"""Labels that train has an example of; the others cannot be learned, and no mean counts them."""

from collections.abc import Sequence
from dataclasses import replace

from trainer.data.prepare.splits import SplitAssignment
from trainer.data.sources.image_record import POSITIVE, ImageRecord
from trainer.system.errors import UsageError


def numbers(assignment: SplitAssignment, exclusive: bool) -> list[int]:
    """Returns the numbers of the labels that some image of train has.

    Of classes that exclude one another one that only other splits have is kept: its images would
    be of none.

    Raises:
      UsageError: if there is none.
    """
    parts = assignment.splits.values() if exclusive else [assignment.splits["train"]]
    rows = {record.labels for part in parts for record in part}
    kept = [n for n, values in enumerate(zip(*rows, strict=True)) if POSITIVE in values]
    if not kept:
        raise UsageError("no image of train has any of the labels: give images of them.")
    return kept


def reduced(assignment: SplitAssignment, kept: Sequence[int]) -> SplitAssignment:
    """Returns the assignment with the labels of these numbers alone."""

    def chosen(labels: Sequence[int]) -> tuple[int, ...]:
        return tuple(labels[number] for number in kept)

    def record(full: ImageRecord) -> ImageRecord:
        return replace(full, labels=chosen(full.labels))

    return replace(
        assignment,
        splits={split: [record(r) for r in part] for split, part in assignment.splits.items()},
        conflicts=[
            item | {"labels": [list(chosen(labels)) for labels in item["labels"]]}
            for item in assignment.conflicts
        ],
    )
