"""The program from Python, in a script, a notebook or a thread: what `import trainer` gives.

Each function sets the process up for TensorFlow as a command does, before it is imported. Where the
caller has imported TensorFlow before, a processor without AVX-512 trains at a command's pace and to
its bits only if TF_ENABLE_ONEDNN_OPTS=1 was set even earlier. Stop signals are obeyed in the main
thread alone; elsewhere they stay the caller's. Mistakes raise `trainer.system.errors.UsageError`,
whose text is the command's sentence.
"""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from etils import epath, epy
from ml_collections import ConfigDict

from trainer.commands import run_loggers
from trainer.commands.set_up import set_up
from trainer.config import recipe, schema
from trainer.data.sources.options import Options
from trainer.system import tensorflow_import
from trainer.system.terminal import LiveLine
from trainer.training import run_checks
from trainer.training.run_files import OF_NETWORK, RunFiles

with epy.lazy_imports():  # TensorFlow, or what it takes to decode images
    from trainer import train
    from trainer.data import sources
    from trainer.data.prepare import preparation
    from trainer.judge import ensemble, evaluation, gate, input_files, prediction
    from trainer.report import image_page

if TYPE_CHECKING:
    from trainer.report.image_page import ImagePages


def default_config(name: str = "") -> ConfigDict:
    """Returns a config to change: `config.train.epochs = 3`. Its names are fixed.

    Args:
      name: of a recipe such as "resnet", or a FILE.py, FILE.yaml or a run's config.json; without
        one every field has its default.

    Raises:
      UsageError: the recipe cannot be read.
    """
    return recipe.read(name) if name else schema.default()


def prepare(
    source: str,
    out: epath.PathLike,
    *,
    source_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Prepares a data set, as `radiograph prepare` does.

    Args:
      source: as --source takes it: an archive, folder, table, phantom:N and so on.
      out: local folder or gs://, for `config.data.path`.
      source_options: how the source is read, see `trainer.data.sources.options.Options`, as in
        {"patient_column": "id"}.
      **options: see `trainer.data.prepare.preparation.prepare`, as in uniform=True.

    Returns:
      The summary of the data set, `data_summary.json`.

    Raises:
      UsageError: the source cannot be used, or `out` holds something else.
      CannotWrite: `out` cannot be written.
    """
    set_up()
    opened = sources.open_source(source, Options(**(source_options or {})))
    return preparation.prepare(opened, epath.Path(out), **options)


def train_and_evaluate(
    config: ConfigDict, workdir: epath.PathLike, *, quiet: bool = False, **options: Any
) -> dict[str, Any] | None:
    """Trains and evaluates, as `radiograph train` does; the same call again goes on.

    Args:
      config: as `default_config` returns it.
      workdir: where the run is written, local or gs://.
      quiet: whether the result alone is printed, no progress.
      **options: `events` and `show_test` of `trainer.train.train_and_evaluate`.

    Returns:
      The evaluation of the test split, `evaluation/test.json`; None of a pretraining, and on
      workers but the chief.

    Raises:
      ExitError: a subclass for each way in which it can end early; Stopped where Ctrl-C, in the
        main thread, has ended it after it was saved.
    """
    set_up()
    run_checks.check(config, epath.Path(workdir))
    tensorflow_import.import_quietly()
    line = LiveLine(quiet=quiet)
    loggers = run_loggers.make(config, epath.Path(workdir), line=line)
    return train.train_and_evaluate(config, workdir, line=line, loggers=loggers, **options)


def load(*runs: epath.PathLike | Sequence[epath.PathLike]) -> "TrainedNetwork":
    """Returns the network of a finished run, or of several as one, also given as a list.

    Raises:
      UsageError: there is no finished run, or the labels of several differ.
    """
    set_up()
    paths = [path for each in runs for path in (each if isinstance(each, list | tuple) else [each])]
    for run in paths:
        RunFiles(run, OF_NETWORK)  # before TensorFlow is imported
    tensorflow_import.import_quietly()
    return TrainedNetwork(paths)


class TrainedNetwork:
    """A trained network that predicts files, explains them, and is judged on other data.

    Attributes:
      runs: whose network it is; of several the mean of their calibrated log-odds.
    """

    def __init__(self, runs: Sequence[epath.PathLike]):
        self.runs = tuple(runs)
        self._ensemble = ensemble.Ensemble.load(runs)

    @property
    def labels(self) -> list[str]:
        """Names of the labels that it predicts."""
        return list(self._ensemble.labels)

    def predict(
        self, *paths: epath.PathLike, refuse: bool = False, workers: int = 0
    ) -> list[dict[str, Any]]:
        """Returns a row for each file, as `radiograph predict` writes it.

        Args:
          *paths: radiographs, folders, archives or tables.
          refuse: whether what is no such radiograph gets no prediction.
          workers: processes that decode; 0: one per core.

        Returns:
          The columns by name: "path", "decision", "probability LABEL", "calibrated LABEL", and
          "reason" where there is no prediction.

        Raises:
          UsageError: a path does not exist, or holds no files.
        """
        network = self._ensemble
        predictor = prediction.Predictor(network, gate=self._gate, refuse=refuse)
        decoded = input_files.decode_all(
            input_files.InputFiles([str(path) for path in paths]),
            network.decoding,
            [(each.image_size, each.mode) for each in network.fits],
            workers=workers or len(os.sched_getaffinity(0)),
        )
        return [row for rows in predictor.rows(decoded) for row in rows]

    def explain(self, *images: epath.PathLike, out: epath.PathLike | None = None) -> "ImagePages":
        """Writes a page for each radiograph: what the network, of several the first, sees in it.

        Args:
          *images: files of any kind that preparation reads.
          out: folder for the pages; by default `images/` of the run.

        Returns:
          `pages`, with what each predicts of each label, and `refused`, which cannot be used.

        Raises:
          UsageError: no image can be used.
        """
        return image_page.write(self.runs[0], images, out)

    def evaluate(
        self, data: epath.PathLike, *, out: epath.PathLike | None = None, **options: Any
    ) -> dict[str, Any]:
        """Judges the network on another prepared data set, as `radiograph evaluate` does.

        Args:
          data: the prepared data set.
          out: folder in which `evaluation/NAME.json`, `.csv` and `.html` are written; by default
            the run's, and needed of several.
          **options: see `trainer.judge.evaluation.Options`, as in split="test".

        Returns:
          Every figure with its interval, the content of `evaluation/NAME.json`.

        Raises:
          UsageError: run, data and options do not fit together, or images were trained on.
        """
        asked = evaluation.Options(**options)
        page = evaluation.evaluate(self.runs, data, asked, out=out)
        assert page is not None  # this process is the chief
        return json.loads(page.with_suffix(".json").read_text())

    @cached_property
    def _gate(self) -> "gate.Gate | None":
        return gate.Gate.load(self._ensemble.workdirs[0])
