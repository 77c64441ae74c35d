"""Weights & Biases: a run there for each run here, online or offline."""

import time
from collections.abc import Sequence
from pathlib import Path

from etils import epy

from trainer.show import wandb_file
from trainer.show.tracker import Description, Point, Tracker
from trainer.system import atomic, gcs, json_files

with epy.lazy_imports():  # of the extra
    import wandb

RECORD = "wandb.json"  # in the work directory: which run of W&B it is
FLUSH_SECONDS = 0.5  # after which W&B's own process writes what it was given
SERVER_SECONDS = 60  # that a server may take to begin or to finish a run


class WandbTracker(Tracker):
    """Keeps a run in W&B.

    W&B counts what it is given and takes each number once: here these are the points' own numbers,
    and the step is the axis of all curves. A run that goes on has the same id. How far it came
    W&B itself knows online; offline each start has a file of its own, and those before are read.

    Args:
      project: of the run.
      folder: where W&B keeps its files; None for the work directory.
    """

    name = "wandb"

    def __init__(self, project: str, folder: str | None = None):
        self._project, self._folder = project, folder

    def begin(self, run: Description) -> str:
        """Makes the run, or opens the one that the work directory names."""
        file = run.workdir / RECORD
        record = json_files.read(file) if run.continues and file.exists() else {}
        inside = None if gcs.is_gcs(run.workdir) else str(run.workdir)
        settings = wandb.Settings(
            console="off",  # the terminal is the run's own
            silent=True,
            init_timeout=SERVER_SECONDS,
            finish_timeout=SERVER_SECONDS,
            x_transaction_log_flush_interval=FLUSH_SECONDS,
        )
        wandb.setup(settings)  # from now on it asks for no key in the terminal either
        self._run = wandb.init(
            project=self._project,
            name=run.name,
            id=record.get("id"),
            resume="allow",
            dir=self._folder or inside,
            config={**run.settings, **run.tags},
            settings=settings,
        )
        atomic.write_json(file, {"id": self._run.id})
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        self._next = max(self._run.step, *self._written(), 0)
        folder = Path(self._run.dir)
        return f"wandb sync {folder.parent}" if self._run.offline else str(self._run.url)

    def log(self, first: int, points: Sequence[Point]) -> None:
        """Logs what the run does not have yet; returns when it is in W&B's own file."""
        for number, point in enumerate(points, first):
            if number >= self._next:
                self._run.log({"step": point.step, **point.values}, step=number, commit=True)
                self._next = number + 1
        int(self._run.step)  # waits until W&B's process has all of them
        time.sleep(2 * FLUSH_SECONDS)

    def files(self, folder: Path, names: Sequence[str]) -> None:
        """Keeps them as files of the run."""
        for name in names:
            self._run.save(str(folder / name), base_path=str(folder), policy="now")

    def end(self, error: BaseException | None) -> None:
        """Finishes the run, as failed where an error ended it."""
        self._run.finish(exit_code=1 if error else 0)

    def _written(self) -> list[int]:
        """Returns the numbers after those of the points that earlier starts wrote offline."""
        folder, identity = Path(self._run.settings.wandb_dir), self._run.id
        files = folder.glob(f"offline-run-*-{identity}/run-{identity}.wandb")
        return [number + 1 for file in files for number, _ in wandb_file.points(file)]
