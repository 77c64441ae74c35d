"""Jobs in the terminal: a description, a table, and a job followed to its end."""

import signal
import time

from google.cloud.storage import Client

from trainer.cloud import cloud_job, google_storage
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.order import Order
from trainer.cloud.platform import Platform
from trainer.system import json_files, terminal
from trainer.system.errors import ExitError, Stopped
from trainer.system.printable import printable

POLL_SECONDS = 10.0
LOG_DELAY_SECONDS = 5.0  # of a log behind its job


class JobFailed(ExitError):
    """The job has failed or was cancelled."""


def describe(job: CloudJob) -> str:
    """Returns a description of a job in several lines."""
    trains = job.command == "train"
    rows = {
        "job": job.name,
        "run": job.title,
        "state": job.state + (f": {job.error}" if job.error else ""),
        "created": job.created,
        "workdir": job.workdir,
        "console": job.page,
        "TensorBoard": trains and job.workdir and f"scripts/tensorboard.sh {job.workdir}",
        "on the web": job.tensorboard,
        "best trial": job.best,
    }
    return "\n".join(f"{name:<12}  {printable(value)}" for name, value in rows.items() if value)


def table(jobs: list[CloudJob]) -> str:
    """Returns a table with a line for each job."""
    rows = [("state", "created", "run", "job")]
    rows += [(job.state, job.created[:19].replace("T", " "), job.title, job.name) for job in jobs]
    return terminal.aligned(rows, left=4)


def command(verb: str, platform: str, job: CloudJob) -> str:
    """Returns the command line of `radiograph jobs` for a job."""
    option = " --platform=kubernetes" if platform == "kubernetes" else ""
    return f"radiograph jobs {verb} {job.name}{option}"


def follow(
    platform: Platform,
    job: CloudJob,
    order: Order,
    *,
    client: Client,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Shows the job's states and output until it ends, and then the run's result.

    Args:
      platform: where it runs.
      job: as it was submitted.
      order: of the job, to restart it after preemption.
      client: of the run's bucket.
      poll_seconds: between two requests for the state.

    Raises:
      JobFailed: if the job has failed or was cancelled.
      Stopped: on Ctrl-C, which leaves the job running.
    """
    shown, after = job.state, ""
    try:
        while not job.ended:
            time.sleep(poll_seconds)
            job = platform.show(job.name)
            if job.state != shown:
                shown = job.state
                print(f"the job is {shown}", flush=True)
            after = _show_log(platform, job, after)
            if job.state == cloud_job.PREEMPTED:
                job = platform.resume(order, job)
        time.sleep(min(poll_seconds, LOG_DELAY_SECONDS))
        _show_log(platform, job, after)
    except KeyboardInterrupt:
        raise Stopped(
            signal.SIGINT,
            f"watching; the job goes on. Stop it with {command('cancel', order.platform, job)}",
        ) from None
    if job.state != cloud_job.SUCCEEDED:
        ending = "failed" if job.state == cloud_job.FAILED else f"been {job.state}"
        raise JobFailed(
            f"the job has {ending}{f' ({job.error})' if job.error else ''}: its log is at "
            f"{job.page or order.workdir}, and the same submission continues the run."
        )
    if job.best:
        print(f"best: {job.best}\nall trials are in {order.workdir}")
    else:
        print(result(client, order.workdir))


def result(client: Client, workdir: str) -> str:
    """Returns the result of a finished run, in a line or two."""
    file = f"{workdir}/evaluation/test.json"
    evaluation = google_storage.read_json(client, file)
    if evaluation is None:
        return f"the results are in {workdir}; {_fetch(workdir)}"
    with json_files.damage_reported(file):
        areas = ", ".join(
            f"{'' if len(evaluation['labels']) == 1 else f'{label} '}{metrics['auc']['value']:.3f}"
            for label, metrics in evaluation["labels"].items()
        )
        return (
            f"test AUC {areas} on {evaluation['images']} images, step {evaluation['step']}\n"
            f"{_fetch(workdir)}"
        )


def _fetch(workdir: str) -> str:
    return f"bring it here: radiograph jobs fetch {workdir} runs/{workdir.split('/')[-1]}"


def _show_log(platform: Platform, job: CloudJob, after: str) -> str:
    """Prints the new lines of a job's log, and returns the time of the last line."""
    try:
        lines = platform.log(job.name, after)
    except ExitError:  # only the log cannot be read, for now or with these roles
        return after
    for _, line in lines:
        print(printable(line), flush=True)
    return lines[-1][0] if lines else after
