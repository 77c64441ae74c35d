"""A job in the terminal: what it is, and what becomes of it."""

import signal
import time

from google.cloud.storage import Client

from trainer.cloud import cloud_job, google_storage
from trainer.cloud.cloud_job import Job
from trainer.cloud.order import Order
from trainer.cloud.platform import Platform
from trainer.system.errors import ExitError, Stopped

POLL_SECONDS = 10.0
LAST_LINES_SECONDS = 5.0  # that a log may lag behind its job


class JobFailed(ExitError):
    """The job has ended otherwise than well."""


def described(of: Job) -> str:
    """Returns a job in some lines."""
    rows = {
        "job": of.name,
        "run": of.title,
        "state": of.state + (f": {of.error}" if of.error else ""),
        "created": of.created,
        "workdir": of.workdir,
        "console": of.page,
        "TensorBoard": of.workdir and f"scripts/tensorboard.sh {of.workdir}",
        "on the web": of.tensorboard,
        "best trial": of.best,
    }
    return "\n".join(f"{name:<12}  {value}" for name, value in rows.items() if value)


def table(jobs: list[Job]) -> str:
    """Returns jobs, a line each."""
    rows = [("state", "created", "run", "job")]
    rows += [(of.state, of.created[:19].replace("T", " "), of.title, of.name) for of in jobs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def command(verb: str, platform: str, of: Job) -> str:
    """Returns the command line that does something with a job."""
    where = " --platform=kubernetes" if platform == "kubernetes" else ""
    return f"python -m trainer jobs {verb} {of.name}{where}"


def follow(
    platform: Platform, of: Job, order: Order, client: Client, every: float = POLL_SECONDS
) -> None:
    """Shows the job's states and what it prints until it ends, and then the run's result.

    Args:
      platform: where it runs.
      of: the job.
      order: that it was submitted with, for a machine that is taken back.
      client: of the bucket that the run is in.
      every: seconds between two looks.

    Raises:
      JobFailed: if it has not ended well.
      Stopped: on Ctrl-C, which leaves the job running.
    """
    shown, after = of.state, ""
    try:
        while not of.ended:
            time.sleep(every)
            of = platform.show(of.name)
            if of.state != shown:
                shown = of.state
                print(f"the job is {shown}", flush=True)
            after = _show_log(platform, of, after)
            if of.state == cloud_job.PREEMPTED:
                of = platform.resume(order, of)
        time.sleep(min(every, LAST_LINES_SECONDS))
        _show_log(platform, of, after)
    except KeyboardInterrupt:
        raise Stopped(
            signal.SIGINT,
            f"watching; the job goes on. Stop it with {command('cancel', order.platform, of)}",
        ) from None
    if of.state != cloud_job.SUCCEEDED:
        raise JobFailed(
            f"the job has {of.state}{f' ({of.error})' if of.error else ''}: its log is at "
            f"{of.page or order.workdir}, and the same submission goes on where the run stopped."
        )
    if of.best:
        print(f"best: {of.best}\nall trials are in {order.workdir}")
    else:
        print(result(client, order.workdir))


def result(client: Client, workdir: str) -> str:
    """Returns what a finished run has come to, in a line or two."""
    measured = google_storage.read_json(client, f"{workdir}/evaluation/test.json")
    if measured is None:
        return f"the run is in {workdir}"
    areas = ", ".join(
        f"{'' if len(measured['labels']) == 1 else f'{label} '}{of['auc']['value']:.3f}"
        for label, of in measured["labels"].items()
    )
    return (
        f"test AUC {areas} on {measured['images']} images, best epoch {measured['epoch']}\n"
        f"bring it here: python -m trainer jobs fetch {workdir} runs/{workdir.split('/')[-1]}"
    )


def _show_log(platform: Platform, of: Job, after: str) -> str:
    """Prints the new lines of a job's log and returns the time of the last."""
    try:
        lines = platform.log(of.name, after)
    except ExitError:  # the log alone cannot be had, now or with these roles
        return after
    for _, line in lines:
        print(line, flush=True)
    return lines[-1][0] if lines else after
