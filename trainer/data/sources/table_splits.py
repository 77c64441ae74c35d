"""The split of a table's row: by its column, by NIH's lists, or by CheXpert's folders."""

from collections.abc import Sequence

from etils import epath

from trainer.data.sources import findings
from trainer.data.sources.folder_names import split_of
from trainer.data.sources.table_schema import Schema
from trainer.system.errors import UsageError

NIH_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}


class Splits:
    """Says which split a row is of."""

    def __init__(self, schema: Schema, folders: Sequence[epath.Path]):
        """Reads NIH's lists, where the schema has them and both are in one of the folders."""
        self._schema = schema
        self._lists: dict[str, str] = {}
        for folder in folders if schema.split_lists else ():
            lists = {folder / name: split for name, split in NIH_LISTS.items()}
            if not self._lists and all(file.exists() for file in lists):
                for file, split in lists.items():
                    names = filter(None, map(str.strip, file.read_text().splitlines()))
                    self._lists |= dict.fromkeys(names, split)

    def split(self, path: str, cell: str, where: str) -> str:
        """Returns train, val, test, or "" where nothing tells.

        Args:
          path: of the image.
          cell: of the column of splits.
          where: the table and the line, for messages.

        Raises:
          UsageError: if the cell is no split.
        """
        if column := self._schema.split:
            if not cell or cell.lower() in findings.MISSING:
                return ""
            if not split_of(cell):
                raise UsageError(
                    f"{where}, column {column!r} holds {cell[:40]!r}: a split is train, val or "
                    "test, or a usual word for one of them, or blank: rename it, or give another "
                    "--split_column, or none to have splits drawn."
                )
            return split_of(cell)
        if self._schema.split_in_path:
            folders = path.replace("\\", "/").split("/")[:-1]
            return next(filter(None, map(split_of, folders)), "")
        return self._lists.get(path, "")
