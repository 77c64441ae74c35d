"""Where an export is written: a folder that is there whole or not at all."""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from etils import epath

from trainer.system import gcs
from trainer.system.errors import CannotWrite, UsageError, file_error

CHECKSUMS = "checksums.json"  # is written last
FULL = ("ENOSPC", "EDQUOT", "EFBIG")


def check(out: epath.Path) -> None:
    """Raises a UsageError unless an export may be written to a place."""
    with gcs.translate_errors(out):
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
        is_cut_off = taken and gcs.is_gcs(out) and not (out / CHECKSUMS).exists()
    if is_cut_off:
        raise UsageError(
            f"--out={out} has files and no {CHECKSUMS}, as an export that was killed leaves it: "
            "delete it, or name a new folder."
        )
    if taken:
        raise UsageError(f"--out={out} is not empty: name a new folder.")


def check_is_export(folder: epath.Path) -> None:
    """Raises a UsageError unless a folder holds an export, whose files are not read for that."""
    if not gcs.is_folder(folder) or not (folder / CHECKSUMS).exists():
        raise UsageError(f"{folder} holds no export: give the --out of radiograph export.")


@contextmanager
def built_beside(out: epath.Path) -> Iterator[epath.Path]:
    """Yields a new folder that becomes `out` in the end, and is removed after an error.

    What a killed process has left of an export to the same `out` is removed, too.
    """
    in_bucket = gcs.is_gcs(out)
    if not in_bucket:
        out = epath.Path(os.path.realpath(out))  # a link, or ".", cannot be replaced
        gcs.make_folder(out.parent)
        _remove_left_behind(out)
    above = None if in_bucket else out.parent
    built = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".building", dir=above))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, built, ignore_errors=True)
        with suppress(OSError):  # of a file system without locks
            stack.enter_context(_locked(built))
        with _room(built, out):
            yield epath.Path(built)
        if in_bucket:
            _upload(built, out)
            return
        built.chmod(0o755)
        try:
            os.replace(built, out)
        except OSError:
            check(out)  # somebody else has written to it meanwhile
            raise


@contextmanager
def _room(built: Path, out: epath.Path) -> Iterator[None]:
    """Turns the errors of a full disk into CannotWrite, those that TensorFlow raises too."""
    try:
        yield
    except Exception as error:
        reason = file_error(error) or ""
        if not reason.endswith(FULL):
            raise
        raise CannotWrite(
            f"{out} cannot be written, as {built.parent} takes no more ({reason}): make room "
            "there, or name a folder on another disk."
        ) from error


def _remove_left_behind(out: epath.Path) -> None:
    for folder in Path(out.parent).glob(f".{glob.escape(out.name)}-*.building"):
        with suppress(OSError), _locked(folder):
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock, which ends with the process; an OSError if another has it."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def _upload(built: Path, out: epath.Path) -> None:
    """Copies a folder to a bucket, `CHECKSUMS` last; after an error none of it stays there."""
    files = [file for file in sorted(built.rglob("*")) if file.is_file()]
    written = []
    try:
        for file in sorted(files, key=lambda file: file.name == CHECKSUMS):
            written.append(out / file.relative_to(built).as_posix())
            written[-1].write_bytes(file.read_bytes())
    except BaseException:
        with suppress(Exception):  # the bucket may not answer any more
            for target in written:
                target.unlink()
        raise
