"""A user without a name."""

import contextlib
import pwd
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def nameless() -> Iterator[None]:
    """Makes this the process of a user without an entry in passwd, as containers have them."""

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwd, "getpwuid", unknown)
        for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
            patch.delenv(name, raising=False)
        yield
