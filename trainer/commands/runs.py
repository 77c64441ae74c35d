"""Lists the runs below a folder: how far they are, their best AUC, their data and their commit.

radiograph runs runs/                     the newest first
radiograph runs runs/ --sort=auc          the best first
radiograph runs gs://BUCKET/runs --format=csv
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from absl import flags

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import terminal
from trainer.system.printable import cell
from trainer.training import run_listing
from trainer.training.run_listing import ListedRun

LONGEST = 60  # characters of a reason in the table
UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
ORDERS: dict[str, Callable[[ListedRun], Any]] = {
    "age": lambda listed: -listed.started.timestamp() if listed.started else 0.0,
    "auc": lambda listed: -(listed.auc or 0.0),
    "name": lambda listed: listed.run,
    "state": lambda listed: listed.state,
}

_FORMAT = flags.DEFINE_enum("format", "text", ("text", "csv", "json"), "how they are printed")
_SORT = flags.DEFINE_enum("sort", "age", ORDERS, "what comes first: the newest, the best AUC, ...")


def main(argv: Sequence[str]) -> None:
    """Prints the runs below the folder that the command line names."""
    folder = path_flags.expand(argv[1])
    runs = sorted(run_listing.below(folder), key=ORDERS[_SORT.value])
    if _FORMAT.value == "json":
        print(json.dumps([_plain(listed) for listed in runs], indent=2))
    elif _FORMAT.value == "csv":
        print(_csv(runs), end="")
    else:
        print(table(runs, datetime.now(UTC)) if runs else f"there is no run below {folder}")


def table(runs: Sequence[ListedRun], now: datetime) -> str:
    """Returns the runs as a table for a terminal.

    Args:
      runs: at least one, in the order of the rows.
      now: what their age is counted to.
    """
    head = ("run", "state", "epoch", "AUC", "data", "age", "commit", "")
    return terminal.aligned([head, *(_row(listed, now) for listed in runs)], left=2)


def _row(listed: ListedRun, now: datetime) -> tuple[str, ...]:
    data = (listed.data or "-").rstrip("/").rpartition("/")[2]
    fingerprint = f" {listed.dataset_fingerprint[:8]}" if listed.dataset_fingerprint else ""
    reason = listed.reason or ""
    return (
        listed.run,
        listed.state,
        f"{listed.epoch}/{listed.epochs}" if listed.epochs else "-",
        "-" if listed.auc is None else f"{listed.auc:.4f}",
        f"{data}{fingerprint}",
        age(now - listed.started) if listed.started else "-",
        (listed.git_commit or "-")[:8],
        reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}...",
    )


def age(passed: timedelta) -> str:
    """Returns a time in its largest unit, as "3 d"."""
    seconds = max(int(passed.total_seconds()), 0)
    unit = next((unit for unit, length in UNITS.items() if seconds >= length), "s")
    return f"{seconds // UNITS[unit]} {unit}"


def _csv(runs: Sequence[ListedRun]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(ListedRun)], lineterminator="\n")
    writer.writeheader()
    for listed in runs:
        row = _plain(listed).items()
        writer.writerow({name: cell(v) if isinstance(v, str) else v for name, v in row})
    return text.getvalue()


def _plain(listed: ListedRun) -> dict[str, Any]:
    started = listed.started.isoformat() if listed.started else None
    return asdict(listed) | {"started": started}


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["runs"])


if __name__ == "__main__":
    run()
