"""Groups of near-duplicates that would fill much of a split: a question to the user."""

from collections.abc import Sequence

from trainer.data import duplicates
from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

FEW = 5  # images that any group may have


def check(records: Sequence[ImageRecord], groups: Sequence[int], max_alike: float) -> None:
    """Ends the preparation where a group is large and would be moved into one split.

    Args:
      records: all of them.
      groups: of near-duplicates, for those without a patient, in their order.
      max_alike: share of all images that a group may have.

    Raises:
      UsageError: with the group's size and two of its images.
    """
    unknown = [record for record in records if not record.patient]
    for images in duplicates.members(groups):
        alike = [unknown[image] for image in images]
        stays = all(record.split == "test" for record in alike)
        if not stays and len(alike) > max(FEW, max_alike * len(records)):
            first, last = (record.place or record.name for record in (alike[0], alike[-1]))
            raise UsageError(
                f"{len(alike):,} of {len(records):,} images look nearly the same, such as {first} "
                f"and {last}, more than --max_alike={max_alike:g} allows, and would lie in one "
                "split: leave the copies out, say who the patients are with --patient_regex or "
                "--patient_column, or allow more."
            )
