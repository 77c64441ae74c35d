"""The command line of `evaluate` or `predict` for a job in a cloud: there its files are in buckets.

    radiograph submit --command=predict --workdir=gs://BUCKET/predicted/NAME --accelerator=cpu \
      -- RUN FOLDER --threshold=0.4

What follows -- is that of the command itself. Local files in it are sent to the bucket first, and
what it writes comes to lie in the work directory.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from etils import epy

from trainer.cloud import bucket_address
from trainer.commands import evaluate, path_flags, predict, program
from trainer.commands.command import COMMANDS
from trainer.data import summary_file
from trainer.system.errors import UsageError
from trainer.training.run_files import OF_NETWORK, RunFiles

with epy.lazy_imports():  # what speaks to a cloud, and reads DICOM
    from trainer.cloud import upload
    from trainer.data import sources

MODULES = {"evaluate": evaluate, "predict": predict}


class RemoteCommand(NamedTuple):
    """What a job does in place of a training.

    Attributes:
      arguments: of `radiograph`, the name of the command first.
      uploads: local files that it reads.
      inputs: what it reads that is in buckets already, gs://.
    """

    arguments: tuple[str, ...]
    uploads: "tuple[upload.Upload, ...]"
    inputs: tuple[str, ...]


class _Inputs:
    """Inputs of a command, each named as the job finds it."""

    def __init__(self, workdir: str):
        self._bucket, self._folder = bucket_address.split(workdir)
        self.uploads: dict[Path, upload.Upload] = {}
        self.remote: list[str] = []

    def place(self, path: str, kind: str | None = None) -> str:
        """Returns the URL of an input, which is sent there if it is local.

        Raises:
          UsageError: there is none at that path.
        """
        if path.startswith("gs://"):
            self.remote.append(path.rstrip("/"))
            return self.remote[-1]
        local = Path(path_flags.expand(path)).resolve()
        if kind == upload.RUN:
            RunFiles(local, OF_NETWORK)
        elif kind == upload.DATA_SET:
            summary_file.require(local, "data")
        elif not local.exists():
            raise UsageError(f"there is no {path}: name a file or a folder, or what is in gs://.")
        if local not in self.uploads:
            # Beside the work directory, so that `jobs fetch` does not bring them back.
            place = "data" if kind == upload.DATA_SET else f"{self._folder}-inputs"
            url = f"gs://{self._bucket}/{place}"
            taken = {each.url for each in self.uploads.values()}
            number = next(
                n for n in range(len(taken) + 1) if f"{url}/{_name(local, n)}" not in taken
            )
            self.uploads[local] = upload.Upload(
                local, f"{url}/{_name(local, number)}", kind or upload.FILES
            )
        return self.uploads[local].url

    def runs(self, names: Sequence[str]) -> list[str]:
        """Returns the URLs of runs."""
        return [self.place(name, upload.RUN) for name in names]


def read(name: str, line: Sequence[str], workdir: str) -> RemoteCommand:
    """Returns a command for a job.

    Args:
      name: of the command, one of MODULES.
      line: its arguments and flags, as for a command on this machine.
      workdir: gs://BUCKET/FOLDER, where the job writes.

    Raises:
      UsageError: the command has no such flags or arguments, or an input is not there.
    """
    command, given = COMMANDS[name], flags.FlagValues()
    MODULES[name].define_flags(given)
    try:
        _, *arguments = given([name, *line])
    except flags.UnrecognizedFlagError as error:
        raise UsageError(program.unknown(error.flagname, given)) from error
    except flags.Error as error:
        raise UsageError(str(error)) from error
    program.check_needed(command, given)
    program.check_arguments(arguments, command.arguments)
    inputs = _Inputs(workdir)
    located = _evaluate if name == "evaluate" else _predict
    positional = located(arguments, given, inputs=inputs, workdir=workdir)
    own = (given[flag] for flag in given if not given[flag].using_default_value)
    serialized = [part for flag in own for part in flag.serialize().split("\n")]
    return RemoteCommand(
        (name, *positional, *serialized), tuple(inputs.uploads.values()), tuple(inputs.remote)
    )


def _evaluate(runs: Sequence[str], given: Any, *, inputs: _Inputs, workdir: str) -> list[str]:
    given.data = inputs.place(given.data, upload.DATA_SET)
    given.against = inputs.runs(given.against)
    if given.map_labels and "=" not in given.map_labels:
        given.map_labels = inputs.place(given.map_labels)
    given.out = workdir
    return inputs.runs(runs)


def _predict(arguments: Sequence[str], given: Any, *, inputs: _Inputs, workdir: str) -> list[str]:
    names, *paths = arguments
    if "-" in paths:
        raise UsageError("- is standard input, which a job does not have: name files or folders.")
    if given.image_root:
        given.image_root = inputs.place(given.image_root)
    elif tables := [
        path
        for path in paths
        if path.lower().endswith(sources.TABLES) and not path.startswith("gs://")
    ]:
        raise UsageError(
            f"{tables[0]} is a table, and the folder of its images has to be uploaded too: give it "
            "as --image_root."
        )
    out = given.out or "predictions.csv"
    predict.check_ending(out)
    given.out = f"{workdir}/{Path(out).name}"
    if given.heat:
        given.heat = f"{workdir}/heat"
    if given.dicom_out:
        given.dicom_out = f"{workdir}/dicom"
    given.resume = given.allow_refused = True  # a job that is started again goes on
    return [
        ",".join(inputs.runs([names] if Path(names).exists() else names.split(","))),
        *(inputs.place(path) for path in paths),
    ]


def _name(path: Path, number: int) -> str:
    return f"{path.stem}-{number}{path.suffix}" if number else path.name
