"""A bucket as submitting a job sees it."""

import uuid

import pytest
from google.auth.exceptions import RefreshError, TransportError

from trainer.cloud import google_storage
from trainer.cloud.credentials import NoCredentials
from trainer.system.errors import CannotWrite, Unavailable, UsageError

SERVER_SAYS = "ada@example.org does not have storage.objects.create access."


@pytest.fixture
def impatient(monkeypatch):
    """Retries end within a second."""
    monkeypatch.setattr(
        google_storage, "RETRY", google_storage.RETRY.with_delay(0.05, 0.1).with_timeout(0.5)
    )


@pytest.mark.parametrize(
    "url, expected",
    [
        ("gs://bucket/a/b/", ("bucket", "a/b")),
        ("gs://bucket", ("bucket", "")),
        ("gs://bucket/", ("bucket", "")),
        ("gs://my.bucket-1_2/run", ("my.bucket-1_2", "run")),
    ],
)
def test_an_address_is_a_bucket_and_a_path(url, expected):
    assert google_storage.split(url) == expected


@pytest.mark.parametrize("url", ["runs/1", "/tmp/runs", "s3://bucket/runs", "gs:/bucket", ""])
def test_another_address_is_refused(url):
    with pytest.raises(UsageError, match="is not in a bucket: give gs://BUCKET/PATH"):
        google_storage.split(url)


@pytest.mark.parametrize("name", ["", "Bucket", "ab", "-bucket", "bucket-", "buck et", "b" * 223])
def test_a_name_that_no_bucket_has_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name of a bucket"):
        google_storage.split(f"gs://{name}/runs")


def test_a_bucket_tells_its_region(gcs):
    assert google_storage.region(google_storage.client(), gcs.bucket()) == "us-central1"


def test_a_bucket_that_is_not_there_is_refused_with_those_named_alike(gcs):
    bucket = gcs.bucket()
    with pytest.raises(
        UsageError, match=f"gs://{bucket}0 does not exist; the project has .*{bucket}"
    ):
        google_storage.region(google_storage.client(), f"{bucket}0")


def test_a_bucket_that_is_not_there_is_refused_where_none_may_be_listed(gcs):
    gcs.fail(403, r"GET /storage/v1/b\?")
    with pytest.raises(UsageError, match=r"^gs://nowhere does not exist\.$"):
        google_storage.region(google_storage.client(), "nowhere")


def test_a_bucket_that_may_not_be_seen_names_the_role(gcs):
    gcs.fail(403, message=SERVER_SAYS)
    with pytest.raises(UsageError) as refused:
        google_storage.region(google_storage.client(), "bucket")
    assert str(refused.value) == (
        "these credentials may not use gs://bucket (ada@example.org does not have "
        "storage.objects.create access): grant them roles/storage.legacyBucketReader on "
        "gs://bucket, or use others."
    )


def test_the_check_for_writing_leaves_nothing(gcs):
    client, url = google_storage.client(), f"gs://{gcs.bucket()}/runs/1"
    google_storage.check_writable(client, url)
    assert [asked.method for asked in gcs.asked(url)] == ["POST", "DELETE"]
    assert google_storage.sizes(client, url) == {}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_bucket_that_may_not_be_written_names_the_role(gcs, method):
    url = f"gs://{gcs.bucket()}/runs/1"
    gcs.fail(403, f"^{method}", message=SERVER_SAYS)
    with pytest.raises(UsageError, match="grant them roles/storage.objectUser on gs://bucket-"):
        google_storage.check_writable(google_storage.client(), url)


def test_writing_to_a_bucket_that_is_not_there_is_refused(gcs):
    with pytest.raises(UsageError, match="gs://nowhere does not exist"):
        google_storage.check_writable(google_storage.client(), "gs://nowhere/runs")


def test_text_comes_back(gcs):
    client, url = google_storage.client(), f"gs://{gcs.bucket()}/runs/1/config.py"
    assert google_storage.read_text(client, url) is None
    for text in ("name = 'Grüße'\n", ""):
        google_storage.write_text(client, url, text)
        assert google_storage.read_text(client, url) == text


def test_sizes_go_by_the_name_from_there(gcs):
    client, bucket = google_storage.client(), gcs.bucket()
    for name in ("a/b/1", "a/b/c/2", "a/b/", "a/bc", "d"):
        client.bucket(bucket).blob(name).upload_from_string("x" * len(name))
    assert google_storage.sizes(client, f"gs://{bucket}/a/b") == {"1": 5, "c/2": 7}
    assert set(google_storage.sizes(client, f"gs://{bucket}")) == {"a/b/1", "a/b/c/2", "a/bc", "d"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_not_seen(gcs, status):
    client, url = google_storage.client(), f"gs://{gcs.bucket()}/text"
    gcs.fail(status, times=2)
    google_storage.write_text(client, url, "text")
    gcs.drop()
    assert google_storage.read_text(client, url) == "text"


@pytest.mark.parametrize("status", [429, 503])
def test_a_failure_that_stays_ends_in_one_sentence(gcs, impatient, status):
    gcs.fail(status, times=1000)
    with pytest.raises(Unavailable) as ended:
        google_storage.write_text(google_storage.client(), "gs://bucket/text", "text")
    assert ended.value.exit_code == 69
    assert str(ended.value) == (
        f"gs://bucket cannot be reached for now (status {status}): check the network, and repeat "
        "the command later."
    )


def test_a_server_that_is_not_there_ends_in_one_sentence(impatient, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"cannot be reached for now \(ConnectionError\)"):
        google_storage.region(google_storage.client(), "bucket")


def test_credentials_that_are_over_are_told_without_what_they_hold():
    secret = uuid.uuid4().hex
    with (
        pytest.raises(NoCredentials, match="login") as ended,
        google_storage.translate_errors("gs://bucket/a"),
    ):
        raise RefreshError(f"invalid_grant: {secret}", {"refresh_token": secret})
    assert secret not in str(ended.value) and ended.value.__suppress_context__


def test_a_metadata_server_that_is_away_is_told():
    unavailable = pytest.raises(Unavailable, match="TransportError")
    with unavailable, google_storage.translate_errors("gs://bucket/a"):
        raise TransportError("http://metadata/token")


def test_an_ending_passes_as_it_is():
    with (
        pytest.raises(CannotWrite, match="^as it is$"),
        google_storage.translate_errors("gs://bucket/a"),
    ):
        raise CannotWrite("as it is")
