"""`speed.json`: where the time of each session of a run went, its steps, memory and MFU."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trainer.metrics.scores import Scores
from trainer.show.logger import Evaluation, Logger
from trainer.system import atomic, json_files, memory
from trainer.training import peak, step_flops
from trainer.training.progress import Progress
from trainer.training.run import Run

ANEW = "the times of earlier sessions are not known"


class SpeedFile(Logger):
    """Keeps the file up to date at each evaluation, the one before step 0 too, and checkpoint.

    After a session's first epoch, not to hold up its start, it has the operations of a step
    counted and a CPU's peak measured, unless an earlier session has done so.
    """

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Reads the earlier sessions."""
        self._run, self._file = run, run.workdir / "speed.json"
        whole = json_files.set_aside_if_damaged(self._file, _check, ANEW)
        content = json_files.read(self._file) if whole else {}
        self._earlier = content.get("sessions", [])
        run.speed.flops = content.get("flops_a_step")
        self._session = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_step": progress.step,
        }

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Counts and measures what is not known yet, and writes the file."""
        run = self._run
        if run.config.profile.flops and run.speed.peak is None:
            with run.speed.spent_on("counting"):
                if run.speed.flops is None:
                    run.speed.flops = step_flops.count(run.config, len(run.data.labels))
                run.speed.peak = peak_of_all(run)
        self._write()

    def evaluation(self, progress: Progress) -> None:
        """Writes the file, so that one is there while a long first epoch goes on."""
        self._write()

    def checkpoint_state(self) -> dict[str, Any]:
        """Writes the file: a run that is killed loses the time since its last checkpoint alone."""
        self._write()
        return {}

    def end(self, evaluation: Evaluation) -> None:
        """Writes the file, for the report."""
        self._write()

    def close(self, error: BaseException | None) -> None:
        """Writes the file with the time up to the end of the process' part."""
        if hasattr(self, "_run"):
            self._write()

    def _write(self) -> None:
        run, speed = self._run, self._run.speed
        session = self._session | {"seconds": speed.seconds(), **speed.steps}
        devices = {
            "device": run.replicas.device_kind,
            "replicas": run.replicas.strategy.num_replicas_in_sync,
            "memory_gib": memory.peak_gib(run.replicas.devices),
            "flops_a_step": speed.flops,
            "peak_flops": speed.peak or None,
            "mfu": speed.mfu,
        }
        atomic.write_json(self._file, {"sessions": [*self._earlier, session], **devices})


def _check(content: Mapping[str, Any]) -> None:
    """Raises one of json_files.DAMAGE unless the file is as a run wrote it."""
    for session in content["sessions"]:
        float(session["from_step"]), sum(session["seconds"].values())
    float(content["flops_a_step"] or 0)


def peak_of_all(run: Run) -> float:
    """Returns the operations a second of all devices of a run, 0 of a device that is not known."""
    replicas, precision = run.replicas, run.config.precision
    if replicas.device_kind == "CPU":  # which all processes of a machine share
        return peak.measured(precision) * replicas.workers / replicas.workers_here
    each = peak.published(replicas.device_kind, precision) or 0.0
    return each * replicas.strategy.num_replicas_in_sync
