"""The folder that a data set is built in: `prepare` removes nothing but what it wrote itself.

Everything is written in a folder with a random name. A marker in `out`, written before that folder
is made, names it and later the files that are moved into place: after a kill the next preparation
removes what the marker names, and nothing else.
"""

import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from etils import epath

from trainer.data import pixel_file, staging
from trainer.system import atomic, file_lock, gcs, json_files
from trainer.system.errors import UsageError

MARKER = ".radiograph-trainer-prepare.json"
NAME = re.compile(r"\.building-[0-9a-f]{16}")
MOST_NAMED = 5  # foreign files in the message of a refusal

# What may lie in a place that a data set is prepared in; an audit may have been written there, and
# pixels of an earlier data set.
EXPECTED = (file_lock.FILE, MARKER, "audit.html", "audit.json", pixel_file.FOLDER)


@dataclass(frozen=True)
class BuildFolder:
    """Where a data set is built.

    Attributes:
      path: an empty folder of a random name.
      out: where the finished data set goes.
    """

    path: epath.Path
    out: epath.Path

    def publish(self, directory: epath.Path, target: epath.Path) -> None:
        """Moves every file in `directory`, below `path`, to the folder `target`, below `out`."""
        files = sorted(directory.iterdir())
        names = [str(target.relative_to(self.out) / file.name) for file in files]
        _mark(self.out, self.path.name, names)
        if self.path.parent != self.out:
            staging.publish(directory, target)
            return
        gcs.make_folder(target)
        for file in files:
            file.rename(target / file.name)


@contextmanager
def build_folder(out: epath.Path, in_bucket: bool = False) -> Iterator[BuildFolder]:
    """Yields a folder to build in and removes it afterwards; after an error `out` is as before.

    It lies in `out`, or on this machine where that is in a bucket.

    Args:
      out: where the data set goes, local or gs://; made where it is missing.
      in_bucket: whether the folder lies in the bucket too, for workers of other machines.

    Raises:
      UsageError: if another preparation uses `out`, or `out` holds files that no preparation wrote.
    """
    existed, locked, marked = out.exists(), False, False
    try:
        gcs.make_folder(out)
        with ExitStack() as stack:
            stack.enter_context(file_lock.held(out))
            locked = True
            atomic.remove_leftovers(out)
            own = _marked(out)
            _refuse_others(out, own)
            _remove(out, own)
            name = f".building-{secrets.token_hex(8)}"
            marked = True
            _mark(out, name, [])
            if gcs.is_gcs(out) and not in_bucket:
                temporary = tempfile.TemporaryDirectory(prefix="prepare-")
                folder = epath.Path(stack.enter_context(temporary))
            else:
                folder = out / name
                gcs.make_folder(folder)
            yield BuildFolder(folder, out)
            _remove(out, {"building": name, "files": []})
    except BaseException as error:
        if marked:
            _remove(out, _marked(out))
        if not existed and (locked or not isinstance(error, UsageError)):  # another job has it
            (out / file_lock.FILE).unlink(missing_ok=True)
            gcs.remove_if_empty(out)
        raise


def _mark(out: epath.Path, building: str, files: list[str]) -> None:
    atomic.write_json(out / MARKER, {"building": building, "files": files})


def _marked(out: epath.Path) -> dict | None:
    """Returns what the marker in `out` names: a folder and files, paths relative to `out`."""
    file = out / MARKER
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text())
        building, files = content["building"], [str(name) for name in content["files"]]
    except json_files.DAMAGE:
        building, files = "", []
    safe = [name for name in files if not {"", ".", ".."} & set(name.split("/"))]
    return {"building": building if NAME.fullmatch(str(building)) else "", "files": safe}


def _refuse_others(out: epath.Path, own: dict | None) -> None:
    """Raises a UsageError if `out` holds what no preparation wrote."""
    if not out.exists():
        return
    files = {out / name for name in own["files"]} if own else set()
    parents = {parent for file in files for parent in file.parents}
    allowed = {*EXPECTED, own["building"]} if own else set(EXPECTED)
    others, waiting = [], [out]
    while waiting:
        folder = waiting.pop()
        for path in folder.iterdir():
            if path in parents:
                waiting.append(path)
            elif path not in files and not (folder == out and path.name in allowed):
                others.append(str(path.relative_to(out)))
    if others:
        more = f" and {len(others) - MOST_NAMED:,} more" if len(others) > MOST_NAMED else ""
        raise UsageError(
            f"--out={out} holds files that prepare did not write "
            f"({', '.join(sorted(others)[:MOST_NAMED])}{more}): name a new or an empty folder."
        )


def _remove(out: epath.Path, own: dict | None) -> None:
    """Removes what a marker names, the marker last."""
    if own is None:
        return
    if own["building"] and (out / own["building"]).exists():
        _remove_folder(out / own["building"])
    for name in own["files"]:
        (out / name).unlink(missing_ok=True)
    for parent in _folders_of(own["files"]):
        gcs.remove_if_empty(out / parent)
    (out / MARKER).unlink(missing_ok=True)


def _folders_of(files: list[str]) -> list[str]:
    """Returns the folders that hold files, and those above them, the deepest first."""
    parts = [name.split("/")[:-1] for name in files]
    folders = {"/".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)}
    return sorted(folders, key=len, reverse=True)


def _remove_folder(folder: epath.Path) -> None:
    if gcs.is_gcs(folder):
        folder.rmtree(missing_ok=True)
    else:
        shutil.rmtree(folder)
