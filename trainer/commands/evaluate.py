"""Evaluates finished runs on another data set: `radiograph evaluate RUN --data=DATA`.

Threshold and temperature are those that the run chose on its own validation images. docs/judge.md
describes the figures and the files.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
from etils import epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.data import summary_file
from trainer.system import gcs, json_files, tensorflow_import
from trainer.training.run_files import OF_NETWORK, RunFiles

with epy.lazy_imports():  # TensorFlow, scikit-learn
    from trainer.judge import evaluation
    from trainer.show import evaluation_table


def main(argv: Sequence[str]) -> None:
    """Evaluates the runs that the command line names, and prints the page's path."""
    given = flags.FLAGS
    runs = [path_flags.expand(run) for run in argv[1:]]
    for run in [*runs, *given.against]:  # before TensorFlow is imported
        RunFiles(run, OF_NETWORK)
    if given.data and not gcs.is_gcs(given.data):
        summary_file.require(given.data, "data")
    tensorflow_import.import_quietly()
    options = evaluation.Options(
        split=given.split,
        name=given.name,
        map_labels=given.map_labels,
        prevalence=given.prevalence,
        flip=given.tta == "flip",
        allow_overlap=given.allow_overlap,
        by=given.by,
        strategy=given.strategy,
        stress=given.stress,
    )
    with program.stop_at_signals("nothing was written"):
        page = evaluation.evaluate(runs, given.data, options, against=given.against, out=given.out)
    if page:
        figures = evaluation_table.table(json_files.read(page.with_suffix(".json")))
        print(f"{figures}\n\npage: {page}")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    common: dict[str, Any] = {"flag_values": flag_values}
    path_flags.define_path("data", None, "the prepared data set that is judged", **common)
    flags.DEFINE_enum(
        "split",
        None,
        ["train", "validation", "test"],
        "split of it; default: all of another set, test of the run's own",
        **common,
    )
    flags.DEFINE_string(
        "name", None, "of the files in RUN/evaluation; default: that of the data's folder", **common
    )
    path_flags.define_path(
        "out", None, "folder for evaluation/; default: the run; needed with several", **common
    )
    flags.DEFINE_list(
        "by", [], "kept columns whose groups are compared, as in sex,age:18:40:65", **common
    )
    path_flags.define_paths(
        "against", "run to compare with; repeated: several as one network", **common
    )
    flags.DEFINE_string(
        "map_labels",
        "",
        "renames and merges the data's labels: old=new,older=new, or a file with old,new a line",
        **common,
    )
    flags.DEFINE_float(
        "prevalence",
        0.05,
        "share of positives for which the predictive values are told too",
        lower_bound=0.0,
        upper_bound=1.0,
        **common,
    )
    flags.DEFINE_enum(
        "tta", "none", ["none", "flip"], "flip: the mean over an image and its mirror", **common
    )
    flags.DEFINE_bool(
        "stress",
        False,
        "judges the images re-encoded, blurred, rotated and otherwise altered, too",
        **common,
    )
    flags.DEFINE_bool(
        "allow_overlap", False, "judges patients and images that were trained on too", **common
    )
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "one_device", "mirrored", "multi_worker", "tpu"],
        "how replicas are laid out",
        **common,
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["evaluate"])


if __name__ == "__main__":
    run()
