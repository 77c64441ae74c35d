"""Predicts files with finished runs: `radiograph predict RUN PATH...`.

A row each: the path, the decision, the probability of each label and the calibrated one, and why a
file is refused. docs/judge.md describes the columns.
"""

import math
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from absl import flags
from etils import epath, epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import gcs, tensorflow_import
from trainer.system.errors import ExitError, UsageError
from trainer.system.terminal import LiveLine
from trainer.training.run_files import OF_NETWORK, RunFiles

with epy.lazy_imports():  # TensorFlow
    from trainer.judge import (
        algorithm,
        dicom_results,
        dicom_source,
        ensemble,
        gate,
        heat_maps,
        input_files,
        prediction,
        prediction_file,
    )
    from trainer.metrics import conformal

if TYPE_CHECKING:
    from trainer.judge.predicted import ResultFiles


def main(argv: Sequence[str]) -> None:
    """Predicts the files that the command line names.

    Raises:
      ExitError: with code 1, if some could not be predicted.
    """
    given = flags.FLAGS
    run, *paths = (path_flags.expand(argument) for argument in argv[1:])
    out = epath.Path(given.out) if given.out else None
    _check_out(out, given.resume)
    _check_dicom(given.dicom_out, given.allow_burned_in)
    _check_coverage(given.coverage)
    for name in run_names(run):
        RunFiles(name, OF_NETWORK)  # before TensorFlow is imported
    tensorflow_import.import_quietly()
    inputs = input_files.InputFiles(
        paths, sys.stdin, path_column=given.path_column, image_root=given.image_root
    )
    kept = f"; {out}.part is kept, and --resume goes on with it" if out else ""
    with program.stop_at_signals(f"the prediction is not finished{kept}"):
        network = ensemble.Ensemble.load(run_names(run))
        checks = gate.Gate.load(network.workdirs[0])
        if checks is None:
            print(_no_gate(network.workdirs[0], given.refuse), file=sys.stderr)
        threshold = _threshold(given.threshold, network)
        first, result_files = network.members[0], list["ResultFiles"]()
        if given.heat:
            result_files.append(heat_maps.HeatMaps(epath.Path(given.heat), first))
        dicom = None
        if given.dicom_out:
            made_by = algorithm.Algorithm.of_network(network, threshold)
            dicom = dicom_results.DicomResults(epath.Path(given.dicom_out), first, made_by)
            result_files.append(dicom)
        predictor = prediction.Predictor(
            network,
            threshold,
            checks,
            refuse=given.refuse,
            sets=_sets(given.coverage, network),
            result_files=result_files,
        )
        origin = {
            "runs": [str(path) for path in network.workdirs],
            "threshold": given.threshold,
            "refuse": given.refuse,
            "coverage": given.coverage,
            "dicom_out": given.dicom_out,
            "allow_burned_in": given.allow_burned_in,
        }
        rows_file = prediction_file.open_file(
            out, predictor.columns, origin=origin, resume=given.resume
        )
        source = partial(dicom_source.source, allow_burned_in=given.allow_burned_in)
        refused = _predict(
            predictor,
            inputs,
            rows_file,
            workers=given.workers or len(os.sched_getaffinity(0)),
            source=source if dicom else None,
        )
    if dicom:
        _say_of_dicom(dicom)
    if inputs.passed_over:
        print(f"passed over, as no images: {inputs.passed_over:,}", file=sys.stderr)
    if refused and not given.allow_refused:
        where = f"{out} says why" if out else "their rows say why"
        raise ExitError(f"{refused:,} of {inputs.found:,} files have no prediction: {where}.")


def run_names(argument: str) -> list[str]:
    """Returns the runs that one argument names: several are separated by commas."""
    return [argument] if epath.Path(argument).exists() else argument.split(",")


def _predict(
    predictor: "prediction.Predictor",
    inputs: "input_files.InputFiles",
    rows_file: "prediction_file.RowsFile",
    **decoding: Any,
) -> int:
    """Writes a row for each file that has none yet; returns how many of all are refused.

    Args:
      predictor: what predicts.
      inputs: all files.
      rows_file: where the rows go.
      decoding: how the files are decoded, see `input_files.decode_all`.
    """
    network, total = predictor.ensemble, inputs.count()
    files, refused = iter(inputs), 0
    for path, is_refused in rows_file.done():
        if rows_file.shown(next(files, input_files.InputFile("")).path) != path:
            raise UsageError(
                f"the rows of the interrupted prediction are of other files, as of {path}: give "
                "the paths that it was begun with."
            )
        refused += is_refused
    decoded = input_files.decode_all(
        files,
        network.decoding,
        [(each.image_size, each.mode) for each in network.fits],
        **decoding,
    )
    began, before = time.monotonic(), inputs.found
    count = before
    with LiveLine(sys.stderr) as line:
        for rows in predictor.rows(decoded):
            rows_file.write(rows)
            count += len(rows)
            refused += sum(row["reason"] is not None for row in rows)
            speed = (count - before) / (time.monotonic() - began)
            of_all = f" of {total:,}" if total else ""
            text = f"{count:,}{of_all} files, {refused:,} refused, {speed:,.0f} files/s"
            line.show(text, count / total if total else None)
    rows_file.finish()
    return refused


def _say_of_dicom(dicom: "dicom_results.DicomResults") -> None:
    """Says what was not written or known, once for all files of this prediction."""
    if dicom.others:
        print(f"no DICOM files, so without DICOM results: {dicom.others:,}", file=sys.stderr)
    if dicom.unknown:
        print(
            f"without BurnedInAnnotation, so that names may be burnt in: {dicom.unknown:,}",
            file=sys.stderr,
        )


def _no_gate(run: epath.Path, refuse: bool) -> str:
    """Returns what is said where images cannot be checked.

    Raises:
      UsageError: if what they are is to be refused.
    """
    reason = (
        f"{run} has no {gate.FILE}, as it is older or has few training images: whether an image is "
        "what it was trained on is not checked"
    )
    if refuse:
        raise UsageError(f"{reason}; leave out --refuse, or train the run again.")
    return f"{reason}."


def _threshold(text: str, network: "ensemble.Ensemble") -> float | None:
    if not text:
        return None
    if network.outputs.exclusive:
        raise UsageError(
            f"--threshold={text} is for labels of their own, and the classes of this run exclude "
            "one another: the likeliest is decided for; leave it out."
        )
    try:
        threshold = float(text)
    except ValueError:
        threshold = 0.0
    if not 0 < threshold < 1:
        raise UsageError(f"--threshold={text} is no probability: give one between 0 and 1.")
    return threshold


def _sets(coverage: float | None, network: "ensemble.Ensemble") -> "conformal.ConformalSets | None":
    """Returns the sets of a coverage, and says where they hold a class whatever the image."""
    if coverage is None:
        return None
    if (validation := network.validation_scores()) is None:
        raise UsageError(
            f"--coverage={coverage:g} needs validation images that all runs have in common: name "
            "one run, or runs of one data set and seed."
        )
    sets = conformal.ConformalSets.calibrate(validation, coverage)
    if -math.inf in sets.least:
        print(
            f"--coverage={coverage:g}: validation has too few images of a class for that (it takes "
            f"{conformal.needed(coverage):,}), so that each set holds it.",
            file=sys.stderr,
        )
    return sets


def _check_dicom(folder: str | None, allow_burned_in: bool) -> None:
    if folder and find_spec("highdicom") is None:
        raise UsageError(
            "--dicom_out needs highdicom, which is not installed: pip install "
            "'radiograph-trainer[dicom]', or scripts/setup.sh --dicom in a checkout."
        )
    if allow_burned_in and not folder:
        raise UsageError("--allow_burned_in is for DICOM results: name their --dicom_out=DIR.")


def _check_coverage(coverage: float | None) -> None:
    if coverage is None or 0.5 <= coverage <= 0.999:
        return
    meant = coverage / 100 if 50 <= coverage <= 99.9 else 0.9
    raise UsageError(
        f"--coverage={coverage:g} is no share from 0.5 to 0.999: give it as in "
        f"--coverage={meant:g}."
    )


def check_ending(out: epath.PathLike) -> None:
    """Raises a UsageError unless a file of that name can hold predictions."""
    if epath.Path(out).suffix.lower() not in prediction_file.ENDINGS:
        raise UsageError(f"--out={out} must end in {' or '.join(prediction_file.ENDINGS)}.")


def _check_out(out: epath.Path | None, resume: bool) -> None:
    if out is None:
        if resume:
            raise UsageError("--resume goes on with a file: name it with --out=FILE.")
        return
    check_ending(out)
    if out.exists():
        raise UsageError(f"--out={out} is there already: name another file, or remove that one.")
    if not gcs.is_gcs(out) and not out.parent.is_dir():
        raise UsageError(f"--out={out}: the folder {out.parent} does not exist; make it first.")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    common: dict[str, Any] = {"flag_values": flag_values}
    path_flags.define_path(
        "out",
        None,
        "file for the rows, .csv, .jsonl or .parquet; without it CSV on stdout",
        **common,
    )
    path_flags.define_path(
        "heat", None, "folder for pictures of where the evidence lies, one a file", **common
    )
    path_flags.define_path(
        "dicom_out",
        None,
        "folder for DICOM results of DICOM files: the evidence as a picture, and a report",
        **common,
    )
    flags.DEFINE_bool(
        "allow_burned_in", False, "writes DICOM results of images with names burnt in", **common
    )
    flags.DEFINE_bool("resume", False, "goes on with an interrupted --out", **common)
    flags.DEFINE_string(
        "threshold",
        "",
        "probability, not calibrated, from which on a label is decided for; by default validation "
        "has chosen it",
        **common,
    )
    flags.DEFINE_bool(
        "refuse", False, "gives what is flagged as no such radiograph no prediction", **common
    )
    flags.DEFINE_bool(
        "allow_refused", False, "ends with 0 though files have no prediction", **common
    )
    flags.DEFINE_float(
        "coverage",
        None,
        "adds the set of classes that holds the true one this often, as in 0.9",
        **common,
    )
    flags.DEFINE_string("path_column", "", "a table's column of image paths", **common)
    path_flags.define_path(
        "image_root", "", "folder that a table's image paths start from", **common
    )
    flags.DEFINE_integer(
        "workers", 0, "processes that decode; 0: one per core", lower_bound=0, **common
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["predict"])


if __name__ == "__main__":
    run()
