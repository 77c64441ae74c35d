"""One job at a time in a folder of a bucket, which has no locks: an object that its job renews.

Every write names the generation that it replaces, so of two jobs only one gets the object. A job
that has not renewed it for STALE_SECONDS holds it no more, however it ended.
"""

import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.system.errors import ExitError, UsageError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

RENEW_SECONDS = 15.0
STALE_SECONDS = 120.0
REQUEST_SECONDS = 10.0
TAKE_SECONDS = 30.0  # for which a bucket that does not answer is asked again
POLL_SECONDS = 1.0


class _Found(NamedTuple):
    """The lease of another job; its age in seconds is by the clock of the bucket alone."""

    holder: dict[str, Any]
    generation: int
    age: float


@contextmanager
def held(
    folder: str, name: str, *, sleep: Callable[[float], object] = time.sleep
) -> Iterator[None]:
    """Keeps other jobs out of `folder` until this one leaves it, or has died.

    While it runs, a thread renews the lease, and no failure of that ends the job: only another job
    that has the lease does. Where it cannot be had for another reason than another job, such as
    missing credentials, a warning says so.

    Args:
      folder: gs://BUCKET/PATH.
      name: of the object in it.
      sleep: waits for so many seconds; what it raises ends the wait for another job.

    Raises:
      UsageError: if another job renews it.
    """
    lease = None
    try:
        lease = _Lease(folder, name)
        lease.take(sleep)
    except ExitError:
        raise
    except Exception as error:  # Google's client raises many kinds
        reason = (str(error) or repr(error)).splitlines()[0][:200]
        print(
            f"warning: {folder} cannot be kept from a second job ({reason}): start only one at a "
            "time.",
            file=sys.stderr,
        )
        lease = None
    try:
        yield
    finally:
        if lease is not None:
            lease.give_back()


class _Lease:
    """The lease of this process on a folder."""

    def __init__(self, folder: str, name: str):
        bucket, _, path = folder.removeprefix("gs://").strip("/").partition("/")
        self._folder, self._name = folder, f"{path}/{name}".lstrip("/")
        self._bucket = _bucket(bucket)
        self._holder = {
            "process": os.getpid(),
            "host": os.uname().nodename,
            "machine": _machine(),
            "began": _began(os.getpid()),
            "token": secrets.token_hex(8),
        }
        self._generation = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def take(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Takes the lease, and renews it from then on.

        Where another job has it, waits until that renews it, or STALE_SECONDS have gone by: it may
        be the one that this process goes on from, killed on another machine.

        Raises:
          UsageError: if it is renewed.
        """
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_timeout(TAKE_SECONDS)
        first, generation, began = None, 0, time.monotonic()
        while True:
            try:
                self._write(generation, timeout=REQUEST_SECONDS, retry=retry)
                break
            except PreconditionFailed as refused:
                found = self._found(refused, retry=retry)
            if found is None or found.holder.get("token") == self._holder["token"]:
                generation = found.generation if found else 0  # or the answer to a write was lost
            elif _has_ended(found.holder):
                generation = found.generation
            elif first is not None and first.generation != found.generation:
                raise UsageError(self._refusal(found))
            elif max(found.age, time.monotonic() - began) > STALE_SECONDS:
                generation = found.generation
            else:
                if first is None:
                    left = STALE_SECONDS - found.age
                    print(
                        f"{self._folder} was left by another job ({_named(found.holder)}) or is in "
                        f"use: waiting up to {left:.0f} s for a sign of it",
                        file=sys.stderr,
                        flush=True,
                    )
                first, generation = found, 0
                sleep(POLL_SECONDS)
        self._thread.start()

    def give_back(self) -> None:
        """Removes the lease; where that fails it becomes stale."""
        self._ended.set()
        self._thread.join(2 * REQUEST_SECONDS)
        with suppress(Exception):
            self._blob().delete(
                if_generation_match=self._generation, timeout=REQUEST_SECONDS, retry=None
            )

    def _keep(self) -> None:
        from google.api_core.exceptions import PreconditionFailed

        while not self._ended.wait(RENEW_SECONDS):
            try:
                self._write(self._generation, timeout=REQUEST_SECONDS, retry=None)
            except PreconditionFailed as refused:
                with suppress(Exception):
                    self._resolve(self._found(refused))
            except Exception:  # whatever it is, the next renewal may succeed
                continue

    def _resolve(self, found: _Found | None) -> None:
        """Goes on with the lease if it is gone or its own; ends the process if another has it."""
        if found is None or found.holder.get("token") == self._holder["token"]:
            self._generation = found.generation if found else 0
            return
        sentence = (
            f"error: {self._folder} has been taken over by another job ({_named(found.holder)}) "
            f"while the bucket could not be reached for {STALE_SECONDS:.0f} s: let that one go on, "
            "or stop it and start this one again.\n"
        )
        os.write(2, sentence.encode())
        os._exit(UsageError.exit_code)  # nothing more may be written there

    def _write(self, generation: int, **options: Any) -> None:
        blob = self._blob()
        blob.upload_from_string(
            json.dumps(self._holder),
            "application/json",
            if_generation_match=generation,
            **options,
        )
        self._generation = blob.generation

    def _found(self, refused: Exception, retry: Any = None) -> _Found | None:
        """Returns the lease that kept this process from writing, None if it has gone."""
        from google.api_core.exceptions import NotFound

        blob = self._blob()
        try:
            content = blob.download_as_bytes(timeout=REQUEST_SECONDS, retry=retry)
            blob.reload(timeout=REQUEST_SECONDS, retry=retry)
        except NotFound:
            return None
        try:
            holder = dict(json.loads(content))
        except (ValueError, TypeError):
            holder = {}
        response = getattr(refused, "response", None)
        date = response.headers.get("Date") if response is not None else None
        age = (parsedate_to_datetime(date) - blob.updated).total_seconds() if date else 0.0
        return _Found(holder, blob.generation, age)

    def _blob(self) -> "Blob":
        return self._bucket.blob(self._name)  # without a generation, which would be asked for

    def _refusal(self, found: _Found) -> str:
        return (
            f"{self._folder} is in use by another job ({_named(found.holder)}), whose lease "
            f"becomes stale in {STALE_SECONDS - found.age:.0f} s unless it is renewed again: wait "
            "for it or stop it, or name another folder."
        )


def _bucket(name: str) -> "Bucket":
    """Returns a bucket through the credentials that TensorFlow takes for it."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client
    from google.oauth2.credentials import Credentials

    if os.environ.get("STORAGE_EMULATOR_HOST"):
        credentials: Any = AnonymousCredentials()
    elif token := os.environ.get("GOOGLE_AUTH_TOKEN_FOR_TESTING"):
        credentials = Credentials(token)
    else:
        scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
        credentials, _ = google.auth.default(scopes=scopes)
    return Client("not-needed", credentials).bucket(name)


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('process', '?')} on {holder.get('host', '?')}"


def _has_ended(holder: dict[str, Any]) -> bool:
    """Returns whether the job was a process of this machine that has ended."""
    here = holder.get("machine") == _machine() != ""
    return here and _began(holder.get("process")) != holder.get("began")


def _machine() -> str:
    """Returns what process numbers are unique in: this start of the kernel, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(process: Any) -> str:
    """Returns when a process of this machine began, in the kernel's ticks; "" if it has ended."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else fields[18]
