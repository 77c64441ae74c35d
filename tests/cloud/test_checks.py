"""What can be known of an order before it costs money is found, each thing in one sentence."""

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
    """One that is right but for its image, which no registry here has."""
    bucket, image = gcs.bucket(), "127.0.0.1:1/radiographs/trainer:1"
    made = orders.order(workdir=f"gs://{bucket}/runs/first", image=image)
    made.config.data.path = f"gs://{bucket}/data"
    return made


@pytest.fixture
def stored(order: Order, access: Access, phantoms: epath.Path) -> str:
    """The order's data set, in its bucket."""
    upload.upload(access.storage, Path(phantoms), order.config.data.path)
    return order.config.data.path


def found(order: Order, access: Access | None, data: Path | None = None) -> dict:
    return {result.subject: result for result in checks.run_checks(order, data, access)}


def test_an_order_that_is_right_passes(order: Order, access: Access, stored: str):
    of = found(order, access)
    assert {name: result.state for name, result in of.items()} == {
        "batch": checks.OK,
        "machine": checks.OK,
        "bucket": checks.OK,
        "run": checks.OK,
        "data": checks.OK,
        "image": checks.UNKNOWN,
        "cost": checks.NOTE,
    }
    assert of["batch"].message == "32 images a step, 16 on each of 2 replicas"
    assert of["data"].message == f"{stored}: 84 train, 8 validation, 28 test"
    assert "$2.00 an hour" in of["cost"].message


def wrong(order: Order, access: Access | None, name: str, data: Path | None = None) -> str:
    result = found(order, access, data)[name]
    assert result.state == checks.WRONG and "\n" not in result.message
    return result.message


def test_a_batch_that_does_not_divide_is_refused(order: Order):
    order.config.train.batch_size = 32
    said = wrong(replace(order, workers=3), None, "batch")
    assert said == "train.batch_size=32 does not divide by the 6 replicas: give 30 or 36."


def test_a_strategy_that_does_not_suit_the_machines_is_refused(order: Order):
    order.config.distribute.strategy = "tpu"
    said = wrong(order, None, "machine")
    assert "give --config.distribute.strategy=auto or mirrored" in said


def test_a_bucket_that_is_not_there_is_refused(order: Order, access: Access):
    said = wrong(replace(order, workdir="gs://no-such-bucket/runs/x"), access, "bucket")
    assert "no-such-bucket" in said


def test_a_bucket_that_cannot_be_written_is_refused(gcs, order: Order, access: Access):
    gcs.fail(403, "POST /upload", times=9)
    assert "roles/storage.objectUser" in wrong(order, access, "bucket")


def test_a_bucket_elsewhere_is_noted(order: Order, access: Access):
    result = found(replace(order, region="europe-west4"), access)["bucket"]
    assert result.state == checks.NOTE and "the job runs in europe-west4" in result.message


@pytest.mark.parametrize(
    ("location", "region", "inside"),
    [
        ("us-central1", "us-central1", True),
        ("us", "us-east5", True),
        ("eu", "europe-west4", True),
        ("eu", "us-central1", False),
        ("us-east1", "us-central1", False),
        ("nam4", "europe-west4", False),
    ],
)
def test_a_bucket_of_a_continent_holds_its_regions(location: str, region: str, inside: bool):
    assert checks.includes(location, region) is inside


def test_a_data_set_that_is_missing_or_not_whole_is_refused(
    order: Order, access: Access, phantoms: epath.Path
):
    assert "upload one with --data=FOLDER" in wrong(order, access, "data")
    path = order.config.data.path
    upload.upload(access.storage, Path(phantoms), path)
    shard = next(name for name in google_storage.sizes(access.storage, path) if "train" in name)
    google_storage.write_text(access.storage, f"{path}/{shard}", "cut")
    assert f"{shard.rsplit('/', 1)[-1]} has 3 bytes" in wrong(order, access, "data")


@pytest.mark.parametrize(
    ("name", "of"), [("runs/first/config", "run"), ("data/data_summary", "data")]
)
def test_a_record_that_is_damaged_is_told(order: Order, access: Access, name: str, of: str):
    bucket, _ = google_storage.split(order.workdir)
    google_storage.write_text(access.storage, f"gs://{bucket}/{name}.json", "{")
    assert f"gs://{bucket}/{name}.json is damaged" in wrong(order, access, of)


def test_a_data_set_to_upload_is_looked_at(order: Order, phantoms: epath.Path, tmp_path: Path):
    assert found(order, None, Path(phantoms))["upload"].state == checks.OK
    assert "holds no prepared data set" in wrong(order, None, "upload", tmp_path)


def test_a_run_that_was_begun_with_another_config_is_refused(order: Order, access: Access):
    begun = f"{order.workdir}/config.json"
    google_storage.write_text(access.storage, begun, order.config.to_json())
    assert found(order, access)["run"].state == checks.NOTE
    order.config.seed = 5
    assert "was begun with seed=0, not 5" in wrong(order, access, "run")


def test_without_credentials_the_rest_is_checked(order: Order):
    states = {name: result.state for name, result in found(order, None).items()}
    assert states["batch"] == states["machine"] == checks.OK
    assert states["bucket"] == states["data"] == states["image"] == checks.UNKNOWN
