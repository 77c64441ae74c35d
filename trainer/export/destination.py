"""Where an export is written: a folder that is there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etils import epath

from trainer.system import gcs
from trainer.system.errors import UsageError

CHECKSUMS = "checksums.json"  # is written last


def check(out: epath.Path) -> None:
    """Raises a UsageError unless an export may be written to a place."""
    with gcs.translate_errors(out):
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if taken:
        raise UsageError(f"--out={out} is not empty: name a new folder.")


def check_is_export(folder: epath.Path) -> None:
    """Raises a UsageError unless a folder holds an export, whose files are not read for that."""
    if not gcs.is_folder(folder) or not (folder / CHECKSUMS).exists():
        raise UsageError(f"{folder} holds no export: give the --out of radiograph export.")


@contextmanager
def built_beside(out: epath.Path) -> Iterator[epath.Path]:
    """Yields a new folder that becomes `out` in the end, and is removed after an error."""
    in_bucket = gcs.is_gcs(out)
    if not in_bucket:
        out = epath.Path(os.path.realpath(out))  # a link, or ".", cannot be replaced
        gcs.make_folder(out.parent)
    above = None if in_bucket else out.parent
    built = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".building", dir=above))
    try:
        yield epath.Path(built)
        if in_bucket:
            files = [file for file in sorted(built.rglob("*")) if file.is_file()]
            for file in sorted(files, key=lambda file: file.name == CHECKSUMS):
                target = out / file.relative_to(built).as_posix()
                target.write_bytes(file.read_bytes())
        else:
            built.chmod(0o755)
            os.replace(built, out)
    finally:
        shutil.rmtree(built, ignore_errors=True)
