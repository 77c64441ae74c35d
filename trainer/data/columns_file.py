"""The kept columns of a prepared split, such as sex and age, in a file beside its shards."""

import json
from collections.abc import Mapping, Sequence

from etils import epath

FILE = "columns-{}.json"  # of a split; {name: [n] values in the order of the records}


def write_columns(folder: epath.Path, split: str, columns: Mapping[str, Sequence[str]]) -> None:
    """Stores the columns of a split, [n] str each, in `folder`."""
    content = {name: list(values) for name, values in columns.items()}
    (folder / FILE.format(split)).write_text(json.dumps(content))


def read_columns(folder: epath.Path, split: str, records: int) -> dict[str, list[str]]:
    """Returns the columns of a split, none in a data set that kept none.

    Args:
      folder: of the shards.
      split: its name.
      records: how many it has.

    Raises:
      ValueError, LookupError, AttributeError or TypeError: if the file is damaged.
    """
    file = folder / FILE.format(split)
    if not file.exists():
        return {}
    columns = {
        name: list(map(str, values)) for name, values in json.loads(file.read_text()).items()
    }
    if any(len(values) != records for values in columns.values()):
        raise ValueError(f"its columns are not of {records} records")
    return columns
