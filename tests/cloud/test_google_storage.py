"""Buckets through Google's client: retries, and errors as one sentence."""

import uuid

import pytest
from google.auth.exceptions import RefreshError, TransportError

from trainer.cloud import bucket_address, google_storage
from trainer.cloud.credentials import NoCredentials
from trainer.system.errors import CannotWrite, Unavailable, UsageError

MESSAGE = "ada@example.org does not have storage.objects.create access."


@pytest.fixture
def impatient(monkeypatch):
    """Retries end within a second."""
    monkeypatch.setattr(
        google_storage, "RETRY", google_storage.RETRY.with_delay(0.05, 0.1).with_timeout(0.5)
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("gs://bucket/a/b/", ("bucket", "a/b")),
        ("gs://bucket", ("bucket", "")),
        ("gs://my.bucket-1_2/run", ("my.bucket-1_2", "run")),
    ],
)
def test_address_is_split_into_bucket_and_path(url, expected):
    assert bucket_address.split(url) == expected


@pytest.mark.parametrize(
    "url",
    ["runs/1", "s3://bucket/runs", "gs:/bucket", ""]
    + [f"gs://{name}/runs" for name in ("", "Bucket", "ab", "-bucket", "buck et", "b" * 223)],
)
def test_invalid_address_is_refused(url):
    with pytest.raises(UsageError, match=r"give (gs://BUCKET/PATH|3 to 222)"):
        bucket_address.split(url)


def test_region_is_that_of_the_bucket_or_a_usage_error(gcs):
    client, bucket = google_storage.client(), gcs.bucket()
    assert google_storage.region(client, bucket) == "us-central1"
    with pytest.raises(UsageError, match=f"{bucket}0 does not exist; the project has .*{bucket}"):
        google_storage.region(client, f"{bucket}0")
    gcs.fail(403, r"GET /storage/v1/b\?")  # buckets may not be listed
    with pytest.raises(UsageError, match=r"^gs://nowhere does not exist\.$"):
        google_storage.region(client, "nowhere")
    gcs.fail(403, message=MESSAGE)
    with pytest.raises(UsageError) as refused:
        google_storage.region(client, "bucket")
    assert str(refused.value) == (
        "these credentials may not use gs://bucket (ada@example.org does not have "
        "storage.objects.create access): grant them roles/storage.legacyBucketReader on "
        "gs://bucket, or use others."
    )


def test_check_for_writing_leaves_nothing(gcs):
    client, url = google_storage.client(), f"gs://{gcs.bucket()}/runs/1"
    google_storage.check_writable(client, url)
    assert [asked.method for asked in gcs.asked(url)] == ["POST", "DELETE"]
    assert google_storage.sizes(client, url) == {}
    for method in ("POST", "DELETE"):
        gcs.fail(403, f"^{method}", message=MESSAGE)
        with pytest.raises(UsageError, match="grant them roles/storage.objectUser on gs://bucket-"):
            google_storage.check_writable(client, url)
    with pytest.raises(UsageError, match="gs://nowhere does not exist"):
        google_storage.check_writable(client, "gs://nowhere/runs")


def test_text_comes_back_despite_temporary_failures(gcs):
    client, url = google_storage.client(), f"gs://{gcs.bucket()}/runs/1/config.py"
    assert google_storage.read_text(client, url) is None
    for text, status in (("name = 'Grüße'\n", 429), ("", 503)):
        gcs.fail(status)
        google_storage.write_text(client, url, text)
        gcs.drop()
        assert google_storage.read_text(client, url) == text


def test_sizes_are_those_below_the_path(gcs):
    client, bucket = google_storage.client(), gcs.bucket()
    for name in ("a/b/1", "a/b/c/2", "a/b/", "a/bc", "d"):
        client.bucket(bucket).blob(name).upload_from_string("x" * len(name))
    assert google_storage.sizes(client, f"gs://{bucket}/a/b") == {"1": 5, "c/2": 7}
    assert set(google_storage.sizes(client, f"gs://{bucket}")) == {"a/b/1", "a/b/c/2", "a/bc", "d"}


@pytest.mark.parametrize("status", [429, 503])
def test_lasting_failure_is_unavailable(gcs, impatient, status):
    gcs.fail(status, times=1000)
    with pytest.raises(Unavailable, match=rf"for now \(status {status}\)") as ended:
        google_storage.write_text(google_storage.client(), "gs://bucket/text", "text")
    assert ended.value.exit_code == 69 and "\n" not in str(ended.value)


def test_unreachable_server_is_unavailable(impatient, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"cannot be reached for now \(ConnectionError\)"):
        google_storage.region(google_storage.client(), "bucket")


def test_error_of_credentials_does_not_show_them():
    secret = uuid.uuid4().hex
    login = pytest.raises(NoCredentials, match="login")
    with login as ended, google_storage.translate_errors("gs://bucket/a"):
        raise RefreshError(f"invalid_grant: {secret}", {"refresh_token": secret})
    assert secret not in str(ended.value) and ended.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("http://metadata/token"), Unavailable),
        (CannotWrite("as it is"), CannotWrite),
    ],
)
def test_errors_are_translated_to_exit_errors(error, expected):
    with pytest.raises(expected), google_storage.translate_errors("gs://bucket/a"):
        raise error
