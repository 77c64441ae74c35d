"""Imports TensorFlow without the lines that its libraries log before they obey any log level."""

import importlib
import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# What absl, oneDNN and the check of the processor write at each import, LiteRT whenever it is used,
# and TensorFlow's optimizer when tf2onnx calls it.
NOISE = re.compile(
    rb"absl::InitializeLog|oneDNN custom op|cpu_feature_guard|rebuild TensorFlow"
    rb"|fully_quantize: |Created TensorFlow Lite|Ignored (output_format|drop_control)"
    rb"|NodeDef mentions attribute"
)


def import_quietly() -> None:
    """Imports TensorFlow; whatever else than `NOISE` it writes to stderr is written afterwards.

    Where the import may end the process with a reason, or logs are shown, all appears at once.
    """
    if "tensorflow" in sys.modules:
        return
    if logging.getLogger().isEnabledFor(logging.INFO) or _may_abort():
        importlib.import_module("tensorflow")
        return
    with without_noise():
        importlib.import_module("tensorflow")


@contextmanager
def without_noise() -> Iterator[None]:
    """Keeps what libraries write to stderr meanwhile, and writes it afterwards without `NOISE`."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            written.seek(0)
            for line in written:
                if not NOISE.search(line):
                    os.write(2, line)


def _may_abort() -> bool:
    """Returns whether the processor, or a TPU's library, may not be what TensorFlow needs."""
    processor = Path("/proc/cpuinfo")
    if (
        platform.machine() == "x86_64"
        and processor.exists()
        and " avx" not in processor.read_text()
    ):
        return True
    return find_spec("libtpu") is not None
