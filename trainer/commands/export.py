"""Exports finished runs for other programs: `radiograph export RUN --out=DIR`.

The SavedModel goes from the bytes of a file to probability and decision, and needs plain TensorFlow
alone; docs/export.md describes its signatures, and what it refuses.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
from etils import epath, epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.export import destination, formats
from trainer.system import tensorflow_import
from trainer.system.errors import UsageError
from trainer.training.run_files import OF_NETWORK, RunFiles

with epy.lazy_imports():  # TensorFlow
    from trainer.export import encodings, export_folder, parity
    from trainer.judge import ensemble

MOST_SIMILAR = 5000  # training images
SHOWING = "saved_model"  # the format whose features find them


def main(argv: Sequence[str]) -> None:
    """Exports the runs that the command line names, and shows how alike the export is."""
    given = flags.FLAGS
    runs = [path_flags.expand(run) for run in argv[1:]]
    chosen = formats.parse(given.format)
    if given.similar and SHOWING not in chosen:
        raise UsageError(
            f"--similar={given.similar} is for {SHOWING}, which finds what is similar, and "
            f"--format={given.format} leaves it out: name it, too, or no --similar."
        )
    for run in runs:
        RunFiles(run, OF_NETWORK)  # before TensorFlow is imported
    out = epath.Path(given.out)
    destination.check(out)
    with program.stop_at_signals("nothing was exported"):
        tensorflow_import.import_quietly()
        network = ensemble.Ensemble.load(runs)
        data = given.data or network.members[0].config.data.path
        rows = export_folder.export(network, chosen, out, data=data, similar=given.similar)
    (first, *_) = rows.values()
    print(
        f"against radiograph predict, on {first.images:,} validation images, {first.originals:,} "
        f"of them source files:\n{parity.table(rows)}"
    )
    for name, row in rows.items():
        if row.encodings:
            print(
                f"\n{name}, of the same images encoded otherwise:\n{encodings.table(row.encodings)}"
            )
    if note := encodings.without(rows):
        print(f"\n{note}")
    if given.similar:
        print(f"\n{given.out} holds pictures of training images: hand it on as you would these.")
    print(f"\nexported: {given.out}")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    common: dict[str, Any] = {"flag_values": flag_values}
    path_flags.define_path("out", None, "new folder of the export, local or gs://", **common)
    flags.DEFINE_string(
        "format", "saved_model", f"of {', '.join(formats.NAMES)}; several by commas", **common
    )
    path_flags.define_path(
        "data", None, "the run's prepared data set, if it lies elsewhere now", **common
    )
    flags.DEFINE_integer(
        "similar",
        0,
        "small pictures of up to 5000 training images, of which a server then shows the nearest",
        lower_bound=0,
        upper_bound=MOST_SIMILAR,
        **common,
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["export"])


if __name__ == "__main__":
    run()
