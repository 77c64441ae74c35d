"""What --help prints: an example, then the flags of a command, those that it needs first."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from trainer.commands.command import WIDTH, Command

SHORT = {"--help", "-help", "-h", "--helpshort", "-helpshort"}
FULL = {"--helpfull", "-helpfull"}
FIELD = "config."  # prefix of the flags that override a recipe
INDENT = " " * 30
FORMS = {
    "int": "N",
    "float": "X",
    "path": "PATH",
    "multi path": "PATH",
    "comma separated list of strings": "A,B",
}
# What follows in a meaning is said by --helpfull.
CLAUSE = re.compile(r"[;:] |, (?:at|by|in|not|or|such|to|which) ")


def asked(arguments: Iterable[str]) -> set[str]:
    """Returns those of a command's arguments that ask for help, none after `--`."""
    before = list(arguments)
    before = before[: before.index("--")] if "--" in before else before
    return {*before} & (SHORT | FULL)


def screen(
    command: Command,
    defined: flags.FlagValues,
    values: Mapping[str, Any],
    *,
    full: bool = False,
) -> str:
    """Returns the help of a command.

    Args:
      command: whose help it is.
      defined: its flags, among those of libraries.
      values: what holds for fields of the config where no flag is given.
      full: shows each field of the config, and which values it may hold.
    """
    flag_names = own(defined)
    fields = [name for name in flag_names if name.startswith(FIELD)]
    more = sorted({*flag_names} - {*command.needed, *command.common, *fields})
    groups = {"Needed": command.needed, "Common": command.common, "More": [*more, "verbosity"]}
    if full:
        groups["Fields of the config"] = fields
    purpose = command.purpose.strip().rstrip(".")
    parts = [command.example_lines(), f"{purpose[:1].upper()}{purpose[1:]}."]
    for title, names in groups.items():
        brief = title == "More" and not full
        rows = [_row(defined[name], values, full=full, brief=brief) for name in names]
        if title == "More" and fields and not full:
            rows.append(_columns("--config.FIELD=VALUE", "any other field; --helpfull lists them"))
        elif brief and rows:
            rows.append(_columns("--helpfull", "says more of each"))
        parts.append("\n".join([f"{title}:", *rows]) if rows else "")
    return "\n\n".join(filter(None, parts))


def own(defined: flags.FlagValues) -> list[str]:
    """Returns the names of a command's own flags, without those of libraries."""
    return [
        flag.name
        for module, some in defined.flags_by_module_dict().items()
        if not module.startswith(("absl", "tensorflow"))
        for flag in some
        if flag.help and not flag.help.startswith("ignored")  # a field of an earlier version
    ]


def _row(
    flag: flags.Flag, values: Mapping[str, Any], *, full: bool = False, brief: bool = False
) -> str:
    """Returns a flag, its meaning, and what holds without it; a `brief` one ends with a clause."""
    field = flag.name.removeprefix(FIELD) if flag.name.startswith(FIELD) else ""
    value = values[field] if field else flag.default
    notes = []
    if value not in (None, "", [], False):
        notes.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    if field and full and not flag.boolean:
        notes.append(flag.flag_type())
    meaning = re.sub("^<.*?>: |;\\s+repeat this.*", "", flag.help).rstrip(".")  # what absl adds
    if brief and len(meaning) > WIDTH - len(INDENT):
        clause = CLAUSE.split(meaning)[0]
        meaning = clause if " " in clause else meaning
    if flag.name == "verbosity":
        meaning, notes = "-1: results and errors alone; 0: progress; 1: libraries' logs", ["0"]
    return _columns(
        f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}={_form(flag, value)}",
        f"{meaning} ({'; '.join(notes)})" if notes else meaning,
    )


def _form(flag: flags.Flag, value: Any) -> str:
    if isinstance(flag, flags.EnumFlag):
        return "|".join(flag.parser.enum_values)
    kind = type(value).__name__ if flag.name.startswith(FIELD) else flag.flag_type()
    return FORMS.get(kind, "TEXT")


def _columns(form: str, meaning: str) -> str:
    form = f"  {form}"
    first = form.ljust(len(INDENT)) if len(form) < len(INDENT) - 1 else f"{form}\n{INDENT}"
    lines = textwrap.wrap(meaning, WIDTH - len(INDENT))
    return first + f"\n{INDENT}".join(lines)
