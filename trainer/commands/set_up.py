"""Prepares the process of a command: what must be set before NumPy and TensorFlow load."""

import logging
import os
import signal
import sys
import threading
import warnings
from importlib.util import find_spec

from absl import logging as absl_logging

from trainer.distribute import tpu
from trainer.system.errors import UsageError
from trainer.system.printable import printable_lines
from trainer.system.terminal import coloured

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

# Environment variables that libraries read when they are loaded; what the user has set stands.
DEFAULTS = {
    "KERAS_BACKEND": "tensorflow",
    # Off by default on CPUs without AVX-512, where it trains the article's network twice as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # TensorFlow reads gs:// in blocks of 64 MiB, one for each open file: smaller ones read single
    # images several times as fast, and shards about as fast (scripts/bucket_benchmark.py).
    "GCS_READ_CACHE_BLOCK_SIZE_MB": "16",
    # More threads of NumPy's BLAS spin beside TensorFlow's, a third of what predicting takes; the
    # products here are too small to be sooner done by several.
    "OPENBLAS_NUM_THREADS": "1",
    LOG_LEVEL: "2",  # errors alone
}


def set_up() -> None:
    """Sets environment variables and signals for a command and the processes that it starts.

    Every command calls it before it imports NumPy and TensorFlow. Library code does not need it.

    Raises:
      UsageError: if TensorFlow is missing, or Keras has another backend.
    """
    if find_spec("tensorflow") is None:
        raise UsageError(
            "TensorFlow is not installed: choose one of pip install 'radiograph-trainer[cpu]', "
            "'radiograph-trainer[gpu]' or 'radiograph-trainer[tpu]'."
        )
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    backend = os.environ["KERAS_BACKEND"]
    if backend != DEFAULTS["KERAS_BACKEND"]:
        raise UsageError(
            f"the environment variable KERAS_BACKEND is {backend!r}, but the networks here need "
            "Keras' tensorflow backend: unset it or set it to 'tensorflow'."
        )
    tpu.skip_where_there_is_none()
    _handle_sigterm_as_first_process()


def show_logs(verbosity: int) -> None:
    """Sets from which level on the logs of Python and TensorFlow are shown.

    Args:
      verbosity: below 0 errors alone, 0 warnings too, 1 what the libraries log too, 2 everything.
    """
    absl_logging.get_absl_handler().setFormatter(_Sentence())
    level = max(logging.WARNING - 10 * verbosity, logging.DEBUG)
    logging.getLogger().setLevel(level)
    absl_logging.get_absl_logger().setLevel(level)
    # TensorFlow sets the loggers' levels anew when it saves a model.
    absl_logging.get_absl_handler().setLevel(level)
    if verbosity > 0:
        os.environ[LOG_LEVEL] = "0"
    else:  # its warnings, such as those of retracing, are for the program's developers
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", "Protobuf gencode version", UserWarning)


class _Sentence(logging.Formatter):
    """Shows a message as "warning: ...", without the time and the line of code before it."""

    def format(self, record: logging.LogRecord) -> str:
        start = coloured(f"{record.levelname.lower()}:", "yellow", sys.stderr)
        return f"{start} {printable_lines(super().format(record))}"


def _handle_sigterm_as_first_process() -> None:
    """Lets SIGTERM end this process also where it is the first of a container.

    For the first process of a namespace the kernel drops signals that have no handler.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and os.getpid() == 1 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
