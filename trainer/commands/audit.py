"""Shows whether data can be trusted: `radiograph audit --source=chest_xray.zip`.

Writes a page (`--out`) and the same facts as JSON beside it; `trainer/data/audit/audit.py`
describes the JSON. The source may be what `radiograph prepare` takes, and also what it wrote.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags
from etils import epath, epy

from trainer.commands import path_flags, program, source_flags
from trainer.commands.command import COMMANDS
from trainer.data import staging
from trainer.system import atomic, gcs
from trainer.system.errors import UsageError

if TYPE_CHECKING:
    from trainer.data.sources.image_record import Source

with epy.lazy_imports():  # TensorFlow
    from trainer.data.audit import audit, prepared, suspected_labels
    from trainer.report import audit_page


def write(
    source: "Source",
    out: epath.Path,
    *,
    any_view: bool = False,
    salt: str = "",
    label_errors: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Audits a source, writes the page `out` and the JSON, and returns the latter."""
    facts, inspected = audit.audit(source, any_view=any_view, salt=salt, label_errors=label_errors)
    page = audit_page.render(facts, inspected, source)
    atomic.write_json(out.with_suffix(".json"), facts)
    atomic.write_text(out, page)
    return facts


def main(argv: Sequence[str]) -> None:
    """Audits what the flags name, and prints the findings."""
    del argv
    given = flags.FLAGS
    out = epath.Path(given.out)
    if out.suffix != ".html":
        raise UsageError(f"--out={out} must end in .html; the JSON is written beside it.")
    if not gcs.is_gcs(out) and not out.parent.is_dir():
        raise UsageError(f"--out={out}: the folder {out.parent} does not exist; make it first.")
    suspected = suspected_labels.read(given.label_errors) if given.label_errors else None
    with program.stop_at_signals("nothing was written"):
        with staging.writable(out.parent):
            pass  # known before all images are read
        source = prepared.open_source(given.source, source_flags.options(given))
        source_flags.show_reading(source)
        facts = write(source, out, any_view=given.any_view, salt=given.salt, label_errors=suspected)
    print(audit.describe(facts))
    print(f"\nwritten: {out} and {out.with_suffix('.json')}")


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    path_flags.define_path(
        "source",
        None,
        "what radiograph prepare takes, or the folder that it wrote",
        flag_values=flag_values,
    )
    path_flags.define_path("out", "audit.html", "page to write", flag_values=flag_values)
    path_flags.define_path(
        "label_errors",
        None,
        "folder of a finished radiograph seeds --folds, whose suspected labels are shown",
        flag_values=flag_values,
    )
    source_flags.define(flag_values)


def run() -> None:
    """Runs this command with the arguments of the process."""
    define_flags()
    program.run(main, COMMANDS["audit"])


if __name__ == "__main__":
    run()
