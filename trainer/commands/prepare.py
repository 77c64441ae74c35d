"""Prepares a data set: `radiograph prepare --source=chest_xray.zip --out=DATA`.

Decodes and checks every image, groups by patient, and writes a tensorflow-datasets data set
with the splits train, validation and test, which `tfds.data_source("radiographs", data_dir=DATA)`
opens. docs/data.md describes what is read, how it is split and what is refused.
"""

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from etils import epath, epy

from trainer.commands import audit, path_flags, program, source_flags
from trainer.commands.command import COMMANDS
from trainer.data import summary_file
from trainer.system import atomic, gcs
from trainer.system.errors import UsageError

with epy.lazy_imports():  # TensorFlow among them: --help and mistakes need not wait for it
    from trainer.data import sources
    from trainer.data.prepare import data_summary, preparation


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command; not at import, since their names are common ones."""
    common: dict[str, Any] = {"flag_values": flag_values}
    path_flags.define_path("source", None, "files to prepare (docs/data.md)", **common)
    path_flags.define_path(
        "out", None, "folder to write the prepared data set to, or gs://", **common
    )
    source_flags.define(flag_values)
    flags.DEFINE_integer(
        "max_side",
        512,
        "longest side kept, pixels",
        lower_bound=32,
        upper_bound=8192,
        **common,
    )
    flags.DEFINE_bool(
        "keep_official_validation",
        None,
        "uses the source's own val split, not a tenth of train; by default if it has 5 % or more",
        **common,
    )
    flags.DEFINE_bool(
        "exclusive",
        None,
        "every image has one of several classes; by default if they are folders",
        **common,
    )
    flags.DEFINE_bool(
        "all_test",
        None,
        "puts all images into test, to evaluate finished runs; by default those without labels",
        **common,
    )
    flags.DEFINE_integer(
        "folds",
        0,
        "writes OUT/fold-1 to OUT/fold-K, in each of which another K-th of the patients is test",
        lower_bound=0,
        upper_bound=20,
        **common,
    )
    path_flags.define_path(
        "names_file",
        "",
        "file, outside of --out, for what the hashes of DICOM files stand for",
        **common,
    )
    flags.DEFINE_bool("audit", True, "writes audit.html about the source too", **common)
    flags.DEFINE_bool("uniform", False, "encodes every image alike", **common)
    flags.DEFINE_bool("strict", False, "ends at the first file that cannot be used", **common)
    flags.DEFINE_float(
        "max_skipped", 0.01, "fraction of files that may be skipped", 0.0, 1.0, **common
    )
    flags.DEFINE_float(
        "max_alike",
        0.1,
        "fraction of images that may be one group of near-duplicates, which lies in one split",
        0.0,
        1.0,
        **common,
    )
    flags.DEFINE_integer(
        "workers", 0, "processes that decode; 0: one per core", lower_bound=0, **common
    )
    flags.DEFINE_string("runner", "", "Apache Beam runner; default: this machine alone", **common)
    flags.DEFINE_list(
        "beam_options", [], "options of the runner, as in region=europe-west4", **common
    )


def main(argv: Sequence[str]) -> None:
    """Prepares what the flags name and prints the summary."""
    del argv
    given = flags.FLAGS
    out = epath.Path(given.out)
    salt = given.salt or secrets.token_hex(32)  # one for all, which nobody learns
    with program.stop_at_signals("nothing was written"):
        _refuse_out_in_source(given.source, out)
        if out.is_file():
            raise UsageError(f"--out={out} is a file: name a folder, which is made if need be.")
        source = sources.open_source(given.source, source_flags.options(given))
        if given.folds:
            _refuse_folds(given, identifying=source.identifying)
        places = _places(out, given.folds)
        if given.names_file and summary_file.read(next(iter(places))) is None:
            _refuse_names(given.names_file, out)
        source_flags.show_reading(source)
        if given.all_test:
            print("  all images go into test, whatever their splits (--all_test)", file=sys.stderr)
        if given.folds:
            print("  each fold is test once, whatever splits there are (--folds)", file=sys.stderr)
    for place, fold in places.items():
        _prepare(given, source, place, salt=salt, fold=fold)
    first, *others = places
    if given.audit and not given.runner and not (first / "audit.json").exists():
        with program.stop_at_signals(f"{out} is prepared, but was not audited"):
            page = first / "audit.html"
            facts = audit.write(source, page, any_view=given.any_view, salt=salt)
            for place in others:
                for name in ("audit.html", "audit.json"):
                    atomic.write_text(place / name, (first / name).read_text())
        print(f"audit: {facts['verdict']['sentence']}\n       {page} says why and what to do")
    summary = summary_file.read(first) or {}
    print(f"next: {next_command(summary, given.source, out, folds=bool(given.folds))}")


def _prepare(
    given: flags.FlagValues,
    source: "sources.Source",
    out: epath.Path,
    *,
    salt: str,
    fold: tuple[int, int] | None,
) -> None:
    """Prepares one data set, and prints its summary."""
    where = f" to {out}" if fold else ""
    with program.stop_at_signals(f"nothing was written{where}"):
        finished = summary_file.read(out) is not None
        summary = preparation.prepare(
            source,
            out,
            max_side=given.max_side,
            keep_validation=given.keep_official_validation,
            any_view=given.any_view,
            uniform=given.uniform,
            exclusive=given.exclusive,
            all_test=given.all_test,
            fold=fold,
            salt=salt,
            names_file=given.names_file,
            strict=given.strict,
            max_skipped=given.max_skipped,
            max_alike=given.max_alike,
            workers=given.workers,
            runner=given.runner,
            beam_options=given.beam_options,
        )
    print(data_summary.describe(summary))
    print(f"{'already prepared' if finished else 'prepared'}: {out}")


def _places(out: epath.Path, folds: int) -> dict[epath.Path, tuple[int, int] | None]:
    """Returns the folder of each data set, with the fold that is its test split."""
    if not folds:
        return {out: None}
    return {out / f"fold-{number}": (number, folds) for number in range(1, folds + 1)}


def _refuse_folds(given: flags.FlagValues, *, identifying: bool) -> None:
    """Raises a UsageError if the other flags do not go together with --folds."""
    if given.folds == 1:
        raise UsageError("--folds=1 leaves nothing to train on: give 2 to 20.")
    for flag in ("all_test", "names_file", "keep_official_validation"):
        if given[flag].value:
            raise UsageError(f"--folds and --{flag} do not go together: give one.")
    if identifying and not given.salt:
        raise UsageError(
            "--folds of DICOM files needs --salt=KEY, with which names and patients get the same "
            "hashes in all folds: give one that nobody else knows."
        )


def next_command(summary: Mapping[str, Any], source: str, out: epath.Path, *, folds: bool) -> str:
    """Returns the command that uses what was prepared; `predict` reads the files themselves."""
    if not summary["labels"] and not summary.get("all_test"):
        return f"radiograph train --config=pretrain --config.data.path={out} --workdir=RUN"
    if not summary["labels"]:
        return f"radiograph predict RUN {source}"
    if summary.get("all_test"):
        return f"radiograph evaluate RUN --data={out}"
    if folds:
        return f"radiograph seeds --folds --config=resnet --config.data.path={out} --workdir=RUNS"
    return f"radiograph train --config=resnet --config.data.path={out} --workdir=RUN"


def _refuse_names(file: str, out: epath.Path) -> None:
    """Keeps what the hashes stand for out of the data set, known before any work.

    Raises:
      UsageError: if `file` exists, lies in a bucket or in `out`, or its folder does not exist.
    """
    path = Path(file).resolve()
    inside = not gcs.is_gcs(out) and path.is_relative_to(Path(out).resolve())
    if gcs.is_gcs(file) or inside or path.exists() or not path.parent.is_dir():
        raise UsageError(
            f"--names_file={file} must be a new file in a local folder that exists, outside of "
            f"--out={out}: name another."
        )


def _refuse_out_in_source(source: str, out: epath.Path) -> None:
    """Keeps the data set out of the folder whose files it is made from.

    Raises:
      UsageError: if `out` is the local folder `source` or lies in it.
    """
    if gcs.is_gcs(source) or gcs.is_gcs(out) or not Path(source).is_dir():
        return
    if Path(out).resolve().is_relative_to(Path(source).resolve()):
        raise UsageError(
            f"--out={out} lies in --source={source} and would be read as a part of it: name a "
            "folder elsewhere."
        )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["prepare"])


if __name__ == "__main__":
    run()
