"""The file that W&B keeps of each start of a run: records in the form of LevelDB's log files."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etils import epy

with epy.lazy_imports():  # of the extra
    from wandb.proto import wandb_internal_pb2 as messages

BEGIN = 7  # length of what the file begins with
BLOCK, HEADER = 32_768, struct.Struct("<IHB")  # of a part: checksum, length, kind
WHOLE, LAST = 1, 4  # kinds of parts that end a record


def points(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields number and values of each point that a run has logged, as far as they are written."""
    for content in _records(file.read_bytes()):
        record = messages.Record.FromString(content)  # type: ignore[attr-defined]
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            values = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}
            yield values["_step"], values


def _records(content: bytes) -> Iterator[bytes]:
    position, parts = BEGIN, b""
    while position + HEADER.size <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:  # no part begins so close to the end of a block
            position += left
            continue
        _, length, kind = HEADER.unpack_from(content, position)
        position += HEADER.size + length
        if position > len(content):
            return  # the process was killed while it wrote
        parts += content[position - length : position]
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
