"""The journal of a sweep: what Optuna notes of it, line by line, on a disk or in a bucket."""

import json
import os
from collections.abc import Iterator
from typing import Any

from etils import epath
from optuna.storages.journal import BaseJournalBackend

from trainer.system import atomic, file_lock, gcs

LOCK = ".radiograph-trainer-journal.lock"


class Journal(BaseJournalBackend):
    """A file of JSON lines that several processes may append to; in a bucket only one may.

    A line that a process could not finish is cut off, and not waited for.

    Args:
      file: which need not exist.
    """

    def __init__(self, file: epath.Path):
        self._file = file

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yields what was noted, from a number on."""
        text = self._file.read_text() if self._file.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines()[log_number_from:]:
            yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Notes something more."""
        text = "".join(json.dumps(log) + "\n" for log in logs)
        if gcs.is_gcs(self._file):
            before = self._file.read_text() if self._file.exists() else ""
            atomic.write_text(self._file, before + text)
            return
        with (
            file_lock.held(self._file.parent, name=LOCK, wait=True),
            open(self._file, "ab+") as file,
        ):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
