"""Checks of an order before it costs money."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from trainer.cloud import bucket_address, container_image, google_storage, prices, upload
from trainer.cloud.order import Order
from trainer.cloud.platform import Access
from trainer.config import schema
from trainer.system.errors import ExitError, UsageError

OK, NOTE, UNKNOWN, WRONG = "ok", "note", "?", "wrong"


class CheckResult(NamedTuple):
    """The result of one check.

    Attributes:
      subject: what was checked, in a word.
      state: OK, NOTE, UNKNOWN or WRONG.
      message: the result in words.
    """

    subject: str
    state: str
    message: str


def run_checks(
    order: Order, uploads: Sequence[upload.Upload], access: Access | None
) -> Iterator[CheckResult]:
    """Yields the result of each check, as soon as it is known.

    Args:
      order: to check.
      uploads: local files that would be sent first.
      access: to the cloud; None skips the checks that need it.
    """
    if not order.command:
        yield _result("batch", lambda: _batch(order))
    yield _result("machine", lambda: _machine(order))
    for sent in uploads:
        yield _result("upload", functools.partial(_upload, sent))
    remote: dict[str, Callable[[Order, Access], CheckResult | str]] = {"bucket": _bucket}
    if order.command:
        remote |= {"inputs": _inputs} if order.inputs else {}
    else:
        remote |= {"run": _run} if uploads else {"run": _run, "data": _data}
    for subject, check in (remote | {"image": _image}).items():
        if access is None:
            reason = "not checked: there are no credentials on this machine"
            yield CheckResult(subject, UNKNOWN, reason)
        else:
            yield _result(subject, functools.partial(check, order, access))
    yield _result("cost", lambda: _cost(order))


def _result(subject: str, check: Callable[[], CheckResult | str]) -> CheckResult:
    try:
        result = check()
    except container_image.RegistryUnreachable as error:
        return CheckResult(subject, UNKNOWN, f"not checked: {error}")
    except ExitError as error:
        return CheckResult(subject, WRONG, str(error))
    return result if isinstance(result, CheckResult) else CheckResult(subject, OK, result)


def _batch(order: Order) -> str:
    schema.check_global_batch(order.config, order.replicas)
    batch = order.config.train.batch_size
    return f"{batch} images a step, {batch // order.replicas} on each of {order.replicas} replicas"


def _machine(order: Order) -> CheckResult | str:
    strategy, suitable = order.config.distribute.strategy, _strategies(order)
    if strategy not in suitable:
        raise UsageError(
            f"distribute.strategy={strategy} does not suit "
            f"{order.machine.times(order.workers)}: "
            f"give --config.distribute.strategy={' or '.join(suitable)}."
        )
    where = order.zone if order.platform == "tpu_vm" else order.region
    machines = order.machine.times(order.workers) + (f" in {where}" if where else "")
    if order.command[:1] == ("predict",) and order.machine.accelerator.startswith("tpu"):
        idle = "of which predict uses the CPUs alone: one with a GPU, or cpu, is cheaper"
        return CheckResult("machine", NOTE, f"{machines}, {idle}")
    return machines


def _strategies(order: Order) -> tuple[str, ...]:
    """Returns the strategies that use every accelerator of an order."""
    if order.machine.accelerator.startswith("tpu"):
        return "auto", "tpu"
    if order.workers > 1:
        return "auto", "multi_worker"
    return ("auto", "mirrored") if order.replicas > 1 else ("auto", "mirrored", "one_device")


def _upload(sent: upload.Upload) -> str:
    size = sum(file.size for file in upload.sent_files(sent))
    return f"{sent.path} ({size / 2**20:,.1f} MiB) to {sent.url}, except what is there already"


def _bucket(order: Order, access: Access) -> CheckResult | str:
    bucket, _ = bucket_address.split(order.workdir)
    region = google_storage.region(access.storage, bucket)
    google_storage.check_writable(access.storage, order.workdir)
    message = f"gs://{bucket} in {region} can be written"
    if order.region and not includes(region, order.region):
        return CheckResult(
            "bucket",
            NOTE,
            f"{message}, but the job runs in {order.region}: reading across costs money and time",
        )
    return message


def includes(location: str, region: str) -> bool:
    """Returns whether a bucket's location, of one region or more, includes the region."""
    continents = {"us": "us-", "eu": "europe-", "asia": "asia-"}
    return location == region or region.startswith(continents.get(location, "\0"))


def _run(order: Order, access: Access) -> CheckResult | str:
    earlier = google_storage.read_json(access.storage, f"{order.workdir}/config.json")
    if earlier is None:
        return f"starts in {order.workdir}"
    schema.check_same_run(order.config, earlier)
    return CheckResult("run", NOTE, f"continues the one in {order.workdir}")


def _inputs(order: Order, access: Access) -> str:
    if missing := [url for url in order.inputs if not google_storage.exists(access.storage, url)]:
        raise UsageError(f"there is nothing at {', '.join(missing)}: name what the job is to read.")
    return ", ".join(order.inputs)


def _data(order: Order, access: Access) -> str:
    path = order.config.data.path
    summary = google_storage.read_json(access.storage, f"{path}/{upload.SUMMARY}")
    if summary is None:
        raise UsageError(
            f"{path} holds no prepared data set: upload one with --data=FOLDER, or make it with "
            f"radiograph prepare --source=... --out={path}."
        )
    stored = google_storage.sizes(access.storage, path)
    sizes = {name.split("/")[-1]: size for name, size in stored.items()}
    for shard in summary.get("shards", []):
        found = sizes.get(shard["file"])
        if found != shard["bytes"]:
            raise UsageError(
                f"{path} is incomplete: {shard['file']} has {found or 'no'} bytes, not "
                f"{shard['bytes']}; upload it again with --data=FOLDER."
            )
    return f"{path}: {_counts(summary)}"


def _counts(summary: Mapping) -> str:
    splits = summary["splits"]
    return ", ".join(f"{split['images']:,} {name}" for name, split in splits.items())


def _image(order: Order, access: Access) -> str:
    container_image.check(order.image, access.credentials)
    return order.image


def _cost(order: Order) -> CheckResult:
    if order.platform == "kubernetes":
        return CheckResult("cost", UNKNOWN, "not known: the nodes are the cluster's own")
    spot = order.capacity == "spot"
    cost = prices.per_hour(
        order.machine, order.workers, platform=order.platform, region=order.region, spot=spot
    )
    if cost is None:
        return CheckResult("cost", UNKNOWN, f"the price of {order.machine} is not known")
    times = f", times {order.parallel_trials} trials at once" if order.parallel_trials > 1 else ""
    return CheckResult("cost", NOTE, f"{cost}{times}")
