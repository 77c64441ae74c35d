"""What can be fetched again lies where the user's environment says."""

from pathlib import Path

import pytest

from tests.nameless import nameless
from trainer.system import cache
from trainer.system.errors import UsageError


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.folder() == Path("/somewhere/radiograph-trainer")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache/radiograph-trainer"
    with nameless(), pytest.raises(UsageError, match="this user has none: set .*XDG_CACHE_HOME"):
        cache.folder()
