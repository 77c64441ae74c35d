"""An order is checked before it costs money, and each result is one sentence."""

from dataclasses import replace
from pathlib import Path

import pytest
from etils import epath
from google.auth.credentials import AnonymousCredentials

from tests.cloud import orders
from trainer.cloud import checks, google_storage, upload
from trainer.cloud.order import Order
from trainer.cloud.platform import Access


@pytest.fixture
def access(gcs) -> Access:
    return Access(AnonymousCredentials(), google_storage.client("project"))


@pytest.fixture
def order(gcs) -> Order:
    """A correct order, except for its image, whose registry cannot be reached."""
    bucket, image = gcs.bucket(), "127.0.0.1:1/radiographs/trainer:1"
    made = orders.order(workdir=f"gs://{bucket}/runs/first", image=image)
    made.config.data.path = f"gs://{bucket}/data"
    return made


def check(order: Order, access: Access | None, data: Path | None = None) -> dict:
    uploads = [upload.Upload(data, order.config.data.path)] if data else []
    return {result.subject: result for result in checks.run_checks(order, uploads, access)}


def wrong(order: Order, access: Access | None, subject: str, data: Path | None = None) -> str:
    """Returns the message of a check that fails."""
    result = check(order, access, data)[subject]
    assert result.state == checks.WRONG and "\n" not in result.message
    return result.message


def test_data_set_is_checked_before_its_upload_and_in_the_bucket(
    order: Order, access: Access, phantoms: epath.Path, tmp_path: Path
):
    assert "upload one with --data=FOLDER" in wrong(order, access, "data")
    assert "holds no prepared data set" in wrong(order, None, "upload", tmp_path)
    assert check(order, None, Path(phantoms))["upload"].state == checks.OK
    path = order.config.data.path
    upload.upload(access.storage, Path(phantoms), path)
    results = check(order, access)
    assert {subject: result.state for subject, result in results.items()} == {
        "batch": checks.OK,
        "machine": checks.OK,
        "bucket": checks.OK,
        "run": checks.OK,
        "data": checks.OK,
        "image": checks.UNKNOWN,
        "cost": checks.NOTE,
    }
    assert results["data"].message == f"{path}: 84 train, 8 validation, 28 test"
    assert "$2.00 an hour" in results["cost"].message
    shard = next(name for name in google_storage.sizes(access.storage, path) if "train" in name)
    google_storage.write_text(access.storage, f"{path}/{shard}", "cut")
    assert f"{shard.rsplit('/', 1)[-1]} has 3 bytes" in wrong(order, access, "data")
    google_storage.write_text(access.storage, f"{path}/data_summary.json", "{")
    assert f"{path}/data_summary.json is damaged" in wrong(order, access, "data")


def test_batch_and_strategy_must_suit_the_machines(order: Order):
    order.config.train.batch_size = 32
    assert "give 30 or 36" in wrong(replace(order, workers=3), None, "batch")
    order.config.distribute.strategy = "tpu"
    message = wrong(order, None, "machine")
    assert "give --config.distribute.strategy=auto or mirrored" in message


def test_bucket_must_exist_and_be_writable(gcs, order: Order, access: Access):
    message = wrong(replace(order, workdir="gs://no-such-bucket/runs/x"), access, "bucket")
    assert "no-such-bucket" in message
    gcs.fail(403, "POST /upload", times=9)
    assert "roles/storage.objectUser" in wrong(order, access, "bucket")


@pytest.mark.parametrize(
    ("location", "region", "included"),
    [
        ("us-central1", "us-central1", True),
        ("us", "us-east5", True),
        ("eu", "europe-west4", True),
        ("eu", "us-central1", False),
        ("us-east1", "us-central1", False),
        ("nam4", "europe-west4", False),
    ],
)
def test_location_of_a_continent_includes_its_regions(location: str, region: str, included: bool):
    assert checks.includes(location, region) is included


def test_bucket_in_another_region_is_noted(order: Order, access: Access):
    result = check(replace(order, region="europe-west4"), access)["bucket"]
    assert result.state == checks.NOTE and "the job runs in europe-west4" in result.message


def test_run_continues_only_with_the_same_config(order: Order, access: Access):
    file = f"{order.workdir}/config.json"
    google_storage.write_text(access.storage, file, order.config.to_json())
    assert check(order, access)["run"].state == checks.NOTE
    order.config.seed = 5
    assert "was begun with seed=0, not 5" in wrong(order, access, "run")
    google_storage.write_text(access.storage, file, "{")
    assert f"{file} is damaged" in wrong(order, access, "run")


def test_without_credentials_local_checks_are_made(order: Order):
    states = {subject: result.state for subject, result in check(order, None).items()}
    assert states["batch"] == states["machine"] == checks.OK
    assert states["bucket"] == states["data"] == states["image"] == checks.UNKNOWN
