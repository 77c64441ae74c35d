"""Writes pages about finished runs.

radiograph report RUN                            the report of a run, RUN/report.html or --out
radiograph report RUN1 RUN2 --out=FILE.html      several runs compared
radiograph report RUN --image=FILE --out=FOLDER  the run's prediction for single radiographs, or
                                                 for those in a folder
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from absl import flags
from etils import epath, epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.system import gcs, json_files, tensorflow_import
from trainer.system.errors import CannotWrite, ExitError, UsageError, file_error
from trainer.training.run_files import FILES, OF_NETWORK, RunFiles

with epy.lazy_imports():  # TensorFlow
    import jinja2

    from trainer.judge import input_files
    from trainer.report import comparison, image_page, model_card, run_page

COMPARISON = "comparison.html"


def main(argv: Sequence[str]) -> None:
    """Writes the pages that the command line names, and prints their paths."""
    runs, given = [path_flags.expand(run) for run in argv[1:]], flags.FLAGS
    several = len(runs) > 1
    if given.image and several:
        raise UsageError(f"--image takes one run, but there are {len(runs)}: name one.")
    for image in given.image:
        if not gcs.is_gcs(image) and not Path(image).exists():
            raise UsageError(f"--image={image} does not exist: name a radiograph or a folder.")
    out = given.out or (COMPARISON if several else None)
    file = _page_path(out) if out and not given.image else None
    for run in runs:
        RunFiles(run, OF_NETWORK if given.image else FILES)  # before TensorFlow is imported
    if given.image:
        _write_image_pages(runs[0], given.image, given.out)
    else:
        with _damage_reported(runs):
            print(comparison.write(runs, file) if file and several else _run_page(runs[0], file))


@contextmanager
def _damage_reported(runs: Sequence[str]) -> Iterator[None]:
    """Raises a UsageError where a page cannot be made of what the runs have recorded."""
    try:
        yield
    except (*json_files.DAMAGE, jinja2.UndefinedError) as error:
        reason = (str(error) or repr(error)).splitlines()[0].rstrip(".")
        missing = " is missing" if isinstance(error, LookupError) else ""
        raise UsageError(
            f"a record (.json) of {' or '.join(runs)} is damaged ({reason}{missing}): "
            f"{json_files.REMEDY}."
        ) from error


def _run_page(run: str, out: epath.Path | None) -> epath.Path:
    try:
        page = run_page.write(run, out=out)
        if out is None:
            model_card.write(run)
        return page
    except OSError as error:
        if out or not (reason := file_error(error)):
            raise
        raise CannotWrite(
            f"the report cannot be written into {run} ({reason}): give --out=FILE.html to write it "
            "elsewhere."
        ) from error


def _write_image_pages(run: str, images: Sequence[str], out: str | None) -> None:
    """Writes and prints the page of each image.

    Raises:
      ExitError: some images cannot be used; the others have their pages.
    """
    files = [file.path for file in input_files.InputFiles(images)]
    if not files:
        raise UsageError(f"--image={','.join(images)} holds no images: name radiographs.")
    tensorflow_import.import_quietly()
    pages, refused = image_page.write(run, files, out)
    for page, predictions in pages.items():
        print(f"{page}: {image_page.sentence(predictions)}")
    if refused:
        raise ExitError(
            f"{len(refused)} of {len(files)} images cannot be used: {'; '.join(refused)}."
        )


def _page_path(out: str) -> epath.Path:
    file = epath.Path(out)
    if file.suffix != ".html":
        raise UsageError(f"--out={out} must end in .html, since it is a page.")
    if not gcs.is_gcs(file) and not file.parent.is_dir():
        raise UsageError(f"--out={out}: the folder {file.parent} does not exist; make it first.")
    return file


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    path_flags.define_paths(
        "image",
        "radiograph to explain, or a folder of some; may be repeated",
        flag_values=flag_values,
    )
    path_flags.define_path(
        "out",
        None,
        f"page of a run (RUN/report.html) or a comparison ({COMPARISON}), or folder for pages of "
        "images (RUN/images)",
        flag_values=flag_values,
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["report"])


if __name__ == "__main__":
    run()
