"""Everything about an order that can be known before it costs money."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from trainer.cloud import container_image, google_storage, prices, upload
from trainer.cloud.order import Order
from trainer.cloud.platform import Access
from trainer.config import schema
from trainer.system.errors import ExitError, UsageError

OK, NOTE, UNKNOWN, WRONG = "ok", "note", "?", "wrong"


class Finding(NamedTuple):
    """What a check found: of what, OK, NOTE, UNKNOWN or WRONG, and in words."""

    of: str
    state: str
    said: str


def findings(order: Order, data: Path | None, access: Access | None) -> Iterator[Finding]:
    """Yields what each check finds, as soon as it has.

    Args:
      order: what is checked.
      data: local folder that would be uploaded to the order's data.path, if any.
      access: to the cloud; without it only what this machine knows is checked.
    """
    yield _found("batch", lambda: _batch(order))
    yield _found("machine", lambda: _machine(order))
    if data:
        yield _found("upload", lambda: _upload(data, order.config.data.path))
    for of, check in (("bucket", _bucket), ("run", _run), ("data", _data), ("image", _image)):
        if of == "data" and data:
            continue
        if access is None:
            yield Finding(of, UNKNOWN, "not checked: there are no credentials on this machine")
        else:
            yield _found(of, lambda check=check: check(order, access))
    yield _found("cost", lambda: _cost(order))


def _found(of: str, check: Callable[[], Finding | str]) -> Finding:
    try:
        said = check()
    except container_image.NotTold as error:
        return Finding(of, UNKNOWN, f"not checked: {error}")
    except ExitError as ending:
        return Finding(of, WRONG, str(ending))
    return said if isinstance(said, Finding) else Finding(of, OK, said)


def _batch(order: Order) -> str:
    schema.check_global_batch(order.config, order.replicas)
    batch = order.config.train.batch_size
    return f"{batch} images a step, {batch // order.replicas} on each of {order.replicas} replicas"


def _machine(order: Order) -> str:
    strategy, suiting = order.config.distribute.strategy, _strategies(order)
    if strategy not in suiting:
        raise UsageError(
            f"distribute.strategy={strategy} does not suit {order.workers} x {order.machine}: "
            f"give --config.distribute.strategy={' or '.join(suiting)}."
        )
    machines = f"{order.workers} x " if order.workers > 1 else ""
    where = order.zone if order.platform == "tpu_vm" else order.region
    return f"{machines}{order.machine}" + (f" in {where}" if where else "")


def _strategies(order: Order) -> tuple[str, ...]:
    """Returns the strategies with which every accelerator of an order is used."""
    if order.machine.accelerator.startswith("tpu"):
        return "auto", "tpu"
    if order.workers > 1:
        return "auto", "multi_worker"
    return ("auto", "mirrored") if order.replicas > 1 else ("auto", "mirrored", "one_device")


def _upload(folder: Path, url: str) -> str:
    size = sum(file.size for file in upload.prepared(folder))
    return f"{folder} ({size / 2**20:,.1f} MiB) to {url}, what is not there yet"


def _bucket(order: Order, access: Access) -> Finding | str:
    bucket, _ = google_storage.split(order.workdir)
    region = google_storage.region(access.storage, bucket)
    google_storage.check_writable(access.storage, order.workdir)
    said = f"gs://{bucket} in {region} can be written"
    if order.region and not holds(region, order.region):
        return Finding(
            "bucket",
            NOTE,
            f"{said}, but the job runs in {order.region}: reading across costs money and time",
        )
    return said


def holds(location: str, region: str) -> bool:
    """Whether a bucket's location, of one region or more, is where the region is."""
    continents = {"us": "us-", "eu": "europe-", "asia": "asia-"}
    return location == region or region.startswith(continents.get(location, "\0"))


def _run(order: Order, access: Access) -> Finding | str:
    begun = google_storage.read_json(access.storage, f"{order.workdir}/config.json")
    if begun is None:
        return f"begins anew in {order.workdir}"
    schema.check_same_run(order.config, begun)
    return Finding("run", NOTE, f"goes on with the one in {order.workdir}")


def _data(order: Order, access: Access) -> str:
    path = order.config.data.path
    summary = google_storage.read_json(access.storage, f"{path}/{upload.SUMMARY}")
    if summary is None:
        raise UsageError(
            f"{path} holds no prepared data set: upload one with --data=FOLDER, or make it with "
            f"python -m trainer prepare --source=... --out={path}."
        )
    there = {
        name.split("/")[-1]: of for name, of in google_storage.sizes(access.storage, path).items()
    }
    for shard in summary.get("shards", []):
        found = there.get(shard["file"])
        if found != shard["bytes"]:
            raise UsageError(
                f"{path} is not whole: {shard['file']} has {found or 'no'} bytes, not "
                f"{shard['bytes']}; upload it again with --data=FOLDER."
            )
    return f"{path}: {_counts(summary)}"


def _counts(summary: Mapping) -> str:
    splits = summary["splits"]
    return ", ".join(f"{of['images']:,} {name}" for name, of in splits.items())


def _image(order: Order, access: Access) -> str:
    container_image.check(order.image, access.credentials)
    return order.image


def _cost(order: Order) -> Finding:
    if order.platform == "kubernetes":
        return Finding("cost", UNKNOWN, "that of the cluster's nodes")
    spot = order.capacity == "spot"
    cost = prices.per_hour(order.machine, order.workers, order.platform, spot)
    if cost is None:
        return Finding("cost", UNKNOWN, f"no price of {order.machine} is known here")
    times = f", times {order.parallel_trials} trials at once" if order.parallel_trials > 1 else ""
    return Finding("cost", NOTE, f"{cost}{times}")
