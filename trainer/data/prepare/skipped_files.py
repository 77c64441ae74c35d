"""Files that cannot be used: when they are too many, and how they are told."""

from collections.abc import Sequence

from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

Skipped = Sequence[tuple[ImageRecord, str]]  # with the reason
HOPELESS = 100  # files: enough to see what is wrong before all of the source is read


def check(skipped: Skipped, done: int, total: int, strict: bool, most: float) -> None:
    """Ends the preparation where too many files cannot be used.

    Args:
      skipped: those so far.
      done: number of files examined so far.
      total: number of all files.
      strict: whether one is too many.
      most: share of all files that may be skipped.

    Raises:
      UsageError: with the one file and its reason, or with a table of the reasons.
    """
    if strict and skipped:
        record, reason = skipped[-1]
        raise UsageError(f"{record.place or record.name} cannot be used: {reason} (--strict).")
    hopeless = len(skipped) > HOPELESS or done == total
    if not hopeless or len(skipped) <= most * total:
        return
    share = len(skipped) / total
    lines = [
        f"{len(skipped):,} of {total:,} files ({share:.1%}) cannot be used, more than "
        f"--max_skipped={most:g} allows, and nothing was written: mend them, or allow more.",
        *table([(record.place or record.name, reason) for record, reason in skipped]),
    ]
    if done < total:
        lines.append(f"The other {total - done:,} files were not read.")
    raise UsageError("\n".join(lines))


def table(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """Returns a line for each reason: how often, the reason, an example; the most frequent first.

    Args:
      skipped: (name, reason) of each file. Reasons that differ in their numbers are one.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name, reason in skipped:
        found.setdefault(_kind(reason), []).append((name, reason))
    ordered = sorted(found.values(), key=lambda files: -len(files))
    return [f"{len(files):>8,}  {files[0][1]}, as {files[0][0]}" for files in ordered]


def _kind(reason: str) -> str:
    return "".join(character for character in reason if not character.isdigit())
