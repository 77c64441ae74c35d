"""The folder of an export: the networks, what they need to be used, and its checksums."""

from collections.abc import Sequence
from pathlib import Path

from etils import epath

from trainer.data import dataset
from trainer.export import conformal_table, destination, metadata, validation_files
from trainer.export.conformal_table import ConformalTable
from trainer.export.destination import CHECKSUMS
from trainer.export.parity import Parity
from trainer.export.similar_images import SimilarImages
from trainer.export.writers import WRITERS, Job
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import FILE as GATE
from trainer.report import model_card
from trainer.system import atomic

PARITY = "parity.json"


def export(
    ensemble: Ensemble,
    formats: Sequence[str],
    out: epath.Path,
    *,
    data: epath.PathLike,
    similar: int = 0,
) -> dict[str, Parity]:
    """Writes the runs as one network for other programs, if that says what they say.

    Args:
      ensemble: the runs.
      formats: among `trainer.export.formats.FILES`.
      out: new or empty folder, which also may be gs://; it is there whole or not at all, in a
        bucket with `checksums.json` last.
      data: prepared data set, whose validation images are compared.
      similar: number of its training images that go into the export, small, to be shown as similar.

    Returns:
      how each format differs from `radiograph predict`.

    Raises:
      UsageError: `out` is not empty, or the data set is another than that of the runs.
      NotAlike: a format says something else; nothing is written.
    """
    destination.check(out)
    shown = SimilarImages.draw(ensemble, data, similar) if similar else None
    files = validation_files.read(ensemble, data)
    with destination.built_beside(out) as folder:
        job = Job(ensemble, folder, files, epath.Path(data))
        rows = {name: WRITERS[name](job, name) for name in formats}
        for name, row in rows.items():
            row.check(name, ensemble.members[0].config.precision)
        atomic.write_json(folder / PARITY, {name: row.as_dict() for name, row in rows.items()})
        _describe(ensemble, folder, rows, shown)
        atomic.write_json(folder / CHECKSUMS, _checksums(folder))
    return rows


def _describe(
    ensemble: Ensemble, folder: epath.Path, rows: dict[str, Parity], shown: SimilarImages | None
) -> None:
    """Writes what goes with the network: metadata, gate, conformal sets, similar images, card."""
    validation = ensemble.validation_scores()
    table = None if validation is None else ConformalTable.calibrate(validation)
    if table is not None:
        atomic.write_json(folder / conformal_table.FILE, table.as_dict())
    gate = ensemble.workdirs[0] / GATE
    if gate.exists():
        (folder / GATE).write_bytes(gate.read_bytes())
    if shown is not None:
        shown.save(folder)
    atomic.write_json(folder / metadata.FILE, metadata.metadata(ensemble, rows, table, shown))
    atomic.write_text(folder / model_card.CARD, metadata.card(ensemble, rows, shown))


def _checksums(folder: epath.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file by its path in the folder."""
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): dataset.checksum(epath.Path(file)) for file in files
    }
