"""An export is there whole or not at all, however its process ends."""

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from etils import epath

from trainer.export import destination
from trainer.system import gcs
from trainer.system.errors import CannotWrite, UsageError


class OfTensorFlow(Exception):
    """As its errors are; itself it would take the other process seconds to load."""

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message


def build(out: Path, *, then: Callable[[], object] = lambda: None) -> None:
    with destination.built_beside(epath.Path(out)) as built:
        for name in ("a", "b", destination.CHECKSUMS):
            (built / name).write_text(name)
        then()


def wait(begun) -> None:
    begun.set()
    signal.pause()


def begin_and_wait(out: Path, begun) -> None:
    build(out, then=lambda: wait(begun))


def test_what_a_killed_export_leaves_is_no_export_and_goes_with_the_next(tmp_path: Path):
    out, context = tmp_path / "out[1]", multiprocessing.get_context("forkserver")
    begun = context.Event()
    process = context.Process(target=begin_and_wait, args=(out, begun))
    process.start()
    assert begun.wait(100)
    (tmp_path / ".out[1]-notes").touch()
    build(tmp_path / "other")

    def look_and_stop() -> None:
        assert len(list(tmp_path.glob(".out*.building"))) == 2  # the other is at work
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(out, then=look_and_stop)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list(tmp_path.glob(".out*.building"))) == 1 and not out.exists()
    build(out)
    assert {path.name for path in tmp_path.iterdir()} == {".out[1]-notes", "other", "out[1]"}


def test_folder_that_another_export_has_filled_meanwhile_is_left_alone(tmp_path: Path):
    notes = tmp_path / "out" / "notes"
    with pytest.raises(UsageError, match="is not empty"):
        build(notes.parent, then=lambda: (notes.parent.mkdir(), notes.touch()))
    assert list(tmp_path.iterdir()) == [notes.parent] and list(notes.parent.iterdir()) == [notes]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OfTensorFlow("variables.tempstate1; File too large"),
    ],
    ids=["disk", "limit, of TensorFlow"],
)
def test_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, error: Exception):
    with pytest.raises(CannotWrite, match=f"out cannot be written, as {tmp_path} takes no more"):
        build(tmp_path / "out", then=Mock(side_effect=error))
    assert not list(tmp_path.iterdir())


def test_export_that_a_bucket_does_not_take_leaves_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gcs, "is_gcs", lambda path: True)
    (tmp_path / "out/b/c").mkdir(parents=True)  # so that no file b can be written there
    with pytest.raises(OSError, match="b"):
        build(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
    with pytest.raises(UsageError, match=r"no checksums.json.*delete it"):
        destination.check(epath.Path(tmp_path / "out"))
