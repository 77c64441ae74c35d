"""Files in a bucket, and the reason why one cannot be used."""

from pathlib import Path

import pytest
import tensorflow as tf
from etils import epath

from trainer.system import gcs

UPLOAD = "\n\t when initiating an upload to gs://b/run/config.json"
DENIED = """Error executing an HTTP request: HTTP response code 403 with body '{
  "error": {
    "code": 403,
    "message": "me@here does not have storage.objects.create access to the object."
  }
}'"""
FAILED = tf.errors.UnavailableError


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        (
            tf.errors.PermissionDeniedError,
            DENIED + UPLOAD,
            "me@here does not have storage.objects.create access to the object; HTTP 403 when "
            "initiating an upload to gs://b/run/config.json; the account may lack a role there, "
            "such as roles/storage.objectUser",
        ),
        (
            tf.errors.NotFoundError,
            "Error executing an HTTP request: HTTP response code 404" + UPLOAD,
            "HTTP 404 when initiating an upload to gs://b/run/config.json; there is no such "
            "bucket or object",
        ),
        (
            FAILED,
            "All 10 retry attempts failed. The last failure: Error executing an HTTP request: "
            "HTTP response code 503" + UPLOAD,
            "HTTP 503 when initiating an upload to gs://b/run/config.json",
        ),
        (
            tf.errors.FailedPreconditionError,
            "Error executing an HTTP request: libcurl code 6 meaning 'Could not resolve hostname'"
            + UPLOAD,
            "libcurl code 6 meaning 'Could not resolve hostname'",
        ),
    ],
)
def test_why_a_bucket_cannot_be_used_is_one_line(kind: type, message: str, reason: str):
    assert gcs.reason(kind(None, None, message)) == reason


@pytest.mark.parametrize(
    ("message", "temporary"),
    [
        (f"Error executing an HTTP request: HTTP response code 503{UPLOAD}", True),
        (f"Error executing an HTTP request: HTTP response code 429{UPLOAD}", True),
        (f"Error executing an HTTP request: libcurl code 6{UPLOAD}", True),
        (DENIED + UPLOAD, False),
    ],
)
def test_failures_of_service_and_network_are_temporary(message: str, temporary: bool):
    assert gcs.is_transient(FAILED(None, None, message)) == temporary


@pytest.mark.parametrize(
    "error",
    [FAILED(None, None, "Connection reset by peer"), OSError("disk"), ValueError("gs://b/x")],
)
def test_other_errors_have_no_reason_of_a_bucket(error: Exception):
    assert gcs.reason(error) is None


def test_folders_are_made_on_a_disk_and_needless_in_a_bucket(tmp_path: Path):
    folder = epath.Path(tmp_path / "a/b")
    gcs.make_folder(folder)
    gcs.make_folder(folder)
    assert gcs.is_folder(folder)
    gcs.make_folder(epath.Path("gs://no-such-bucket-here/a"))  # would be searched for ever
