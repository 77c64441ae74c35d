"""A damaged file of arrays is one sentence that names it, whatever the damage."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from trainer.system import array_file
from trainer.system.errors import UsageError


def sound() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, version=1, x=np.arange(300))
    return content.getvalue()


def single() -> bytes:
    content = io.BytesIO()
    np.save(content, np.arange(3))
    return content.getvalue()


def endless() -> bytes:
    """Returns a file of an array that no memory holds."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f8", "fortran_order": False, "shape": (2**44,)}
    )
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4",
        b"\x93NUMPY",
        sound()[:200],
        sound()[:400] + bytes([sound()[400] ^ 255]) + sound()[401:],
        sound().replace(b"x.npy", b"y.npy"),
        sound().replace(b"\x08\x00", b"\x63\x00"),  # a method of compression that there is not
        single(),
        endless(),
    ],
)
def test_damage_is_a_sentence(tmp_path: Path, content: bytes):
    file = epath.Path(tmp_path / "gate.npz")
    file.write_bytes(content)
    read: Callable = array_file.read
    with pytest.raises(UsageError, match=rf"^{file} cannot be read \(.+\): delete it\.$"):
        read(file, lambda saved: saved["x"], version=1, remedy="delete it")
