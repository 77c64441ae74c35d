"""Files that cannot be used: when they are too many, and how they are listed."""

from collections.abc import Sequence

from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

Skipped = Sequence[tuple[ImageRecord, str]]  # with the reason
MOST_BEFORE_END = 100  # enough skipped files to stop before all of the source is read


def check(skipped: Skipped, *, done: int, total: int, strict: bool, max_skipped: float) -> None:
    """Ends the preparation where too many files cannot be used.

    Args:
      skipped: those so far.
      done: number of files examined so far.
      total: number of all files.
      strict: whether one is too many.
      max_skipped: share of all files that may be skipped.

    Raises:
      UsageError: with the one file and its reason, or with a table of the reasons.
    """
    if strict and skipped:
        record, reason = skipped[-1]
        raise UsageError(f"{record.place or record.name} cannot be used: {reason} (--strict).")
    if done < total and len(skipped) <= MOST_BEFORE_END:
        return
    if len(skipped) <= max_skipped * total:
        return
    share = len(skipped) / total
    lines = [
        f"{len(skipped):,} of {total:,} files ({share:.1%}) cannot be used, more than "
        f"--max_skipped={max_skipped:g} allows, and nothing was written: repair them, or allow "
        "more.",
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
    by_reason: dict[str, list[tuple[str, str]]] = {}
    for name, reason in skipped:
        by_reason.setdefault(_without_digits(reason), []).append((name, reason))
    ordered = sorted(by_reason.values(), key=lambda files: -len(files))
    return [f"{len(files):>8,}  {files[0][1]}, for example {files[0][0]}" for files in ordered]


def _without_digits(reason: str) -> str:
    return "".join(character for character in reason if not character.isdigit())
