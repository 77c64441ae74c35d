"""A prepared data set that a run reads: its summary and its splits, opened once."""

import json
import logging
from dataclasses import dataclass

from etils import epath

from trainer.data import data_split, staging, summary_file
from trainer.system import json_files

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedData:
    """A finished data set.

    Attributes:
      path: as the user names it, local or gs://.
      summary: the content of `data_summary.json`.
      splits: train, validation and test, by name.
    """

    path: epath.Path
    summary: dict
    splits: dict[str, data_split.Split]

    @property
    def labels(self) -> list[str]:
        """The names of the K labels."""
        return self.splits["train"].labels

    @property
    def exclusive(self) -> bool:
        """Whether the labels are classes that exclude one another."""
        return self.splits["train"].exclusive

    def audit(self) -> str | None:
        """Returns the JSON of an audit that lies beside the data; None of none or a damaged one."""
        file = self.path / "audit.json"
        if not file.exists():
            return None
        try:
            text = file.read_text()
            dict(json.loads(text))
        except json_files.DAMAGE as error:
            LOGGER.warning("%s is damaged (%r): radiograph audit makes it anew.", file, error)
            return None
        return text


def open_data(path: str) -> PreparedData:
    """Opens the data set that `radiograph prepare` wrote in `path`, staged if that is a bucket.

    Args:
      path: of the data set, or of the folder in it that tensorflow-datasets opens.

    Raises:
      UsageError: if there is no finished data set.
      DataLost: if there was one, but it cannot be read.
      Unavailable: if a bucket does not answer.
    """
    path = path and str(summary_file.root(path))
    local = path and staging.local(path)
    splits = {name: data_split.open_split(local, name) for name in summary_file.SPLITS}
    summary = summary_file.read(local)
    assert summary is not None, "open_split refuses a folder without one"
    if summary_file.DIGEST not in summary:
        LOGGER.warning(
            "%s was prepared by an earlier version, whose summary has no digest: whether its "
            "counts are as they were written is not known.",
            path,
        )
    return PreparedData(epath.Path(path), summary, splits)
