"""How a source was read: its classes, its splits, and what was left out, for the user to check."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer.system.printable import printable

CLASSES_SHOWN, LEFT_OUT_SHOWN = 40, 20


@dataclass
class Group:
    """Files that are read, or left out, in one way.

    Attributes:
      files: how many there are.
      example: the path of the first.
      written: how the group's name is written, where not always in one way.
      note: what the user should know of it.
      known: of a label that is not known for every image, for how many it is; else 0.
    """

    files: int = 0
    example: str = ""
    written: tuple[str, ...] = ()
    note: str = ""
    known: int = 0

    def add(self, path: str) -> None:
        """Counts a file."""
        self.files += 1
        self.example = self.example or printable(path)


@dataclass(frozen=True)
class Reading:
    """What a source's names alone tell, known before any image is decoded.

    Attributes:
      how: what decides the class, in words with the flag that says the same.
      classes: the images of each class, the negative class first where it is known.
      finding: the one of two classes that is the finding; else "".
      splits: the images of each of train, val and test, where folders name them.
      left_out: the files that are not read, by the reason.
    """

    how: str
    classes: Mapping[str, Group]
    finding: str = ""
    splits: Mapping[str, Group] = field(default_factory=dict)
    left_out: Mapping[str, Group] = field(default_factory=dict)

    def as_json(self, *, with_paths: bool) -> dict[str, Any]:
        """Returns what is stored; without paths where they may name a patient."""

        def stored(groups: Mapping[str, Group]) -> dict[str, dict]:
            return {
                name: {"files": group.files}
                | ({"example": group.example} if with_paths else {})
                | ({"written": list(group.written)} if group.written else {})
                | ({"known": group.known} if group.known else {})
                for name, group in groups.items()
            }

        return {
            "how": self.how,
            "classes": stored(self.classes),
            "finding": self.finding,
            "splits": stored(self.splits),
            "left_out": stored(self.left_out),
        }

    def describe(self, source: str) -> str:
        """Returns the reading as lines for the terminal."""
        lines = [f"read {source}: {self.how}"]
        for name, group in list(self.classes.items())[:CLASSES_SHOWN]:
            meaning = ""
            if self.finding:
                meaning = " = 1, the finding" if name == self.finding else " = 0"
            lines.append(_line(f"{name}{meaning}", group, self._names()))
            if group.written:
                spellings = ", ".join(repr(name) for name in group.written)
                lines.append(f"    written {spellings}: one class")
            if group.note:
                lines.append(f"    warning: {group.note}")
        if len(self.classes) > CLASSES_SHOWN:
            lines.append(f"  and {len(self.classes) - CLASSES_SHOWN:,} more")
        if not self.classes:
            lines.append("  warning: no image has a label, so that nothing can be learnt from them")
        elif self.splits:
            lines += [_line(f"split {name}", g, self._names()) for name, g in self.splits.items()]
        else:
            lines.append("  no split is named: train, validation and test will be drawn")
        if self.left_out:
            lines.append("  left out, not as damaged:")
        shown = sorted(self.left_out.items(), key=lambda item: -item[1].files)[:LEFT_OUT_SHOWN]
        width = max((len(reason) for reason, _ in shown), default=0)
        lines += [f"  {_line(reason, group, width)}" for reason, group in shown]
        return "\n".join(lines)

    def _names(self) -> int:
        extra = len(" = 1, the finding") if self.finding else 0
        return max(
            *(len(name) + extra for name in self.classes),
            *(len(f"split {name}") for name in ("", *self.splits)),
        )


def groups(pairs: Iterable[tuple[str, str]]) -> dict[str, Group]:
    """Returns the group of each name, of pairs (name, path)."""
    found: dict[str, Group] = {}
    for name, path in pairs:
        found.setdefault(name, Group()).add(path)
    return found


def _line(name: str, group: Group, width: int) -> str:
    known = f" of {group.known:,} known" if group.known else ""
    return f"  {name:<{width}} {group.files:>9,}{known}  {group.example}".rstrip()
