"""Whatever is damaged in a source, it ends in one sentence or in an OSError for one image."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.data import sources
from trainer.data.sources import Options
from trainer.system.errors import UsageError


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        for name in ("train/no/1.png", "train/no/2.png", "train/ill/3.png", "test/ill/4.png"):
            members.writestr(name, name.encode() * 20)
    return file.getvalue()


def arrays() -> bytes:
    images = np.arange(4 * 28 * 28).reshape(4, 28, 28).astype(np.uint8)
    labels = np.array([[0], [1], [0], [1]])
    file = io.BytesIO()
    np.savez_compressed(file, train_images=images, train_labels=labels)
    return file.getvalue()


def table() -> bytes:
    rows = [f"{n}.png,{n % 2},{('', '-1.0', 'yes')[n % 3]}" for n in range(9)]
    return "\n".join(["path,x,y", *rows]).encode()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Changes bytes, leaves some out, or cuts off the end."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 2, 10])):
        at = draw.randrange(len(found))
        found[at] = draw.choice([0, 34, 44, 255, draw.randrange(256)])
    start = draw.randrange(len(found))
    end = draw.choice([start, start + draw.randrange(40), len(found)])
    return bytes(found[:start] + found[end:])


@pytest.mark.parametrize(
    ("made", "name", "options"),
    [
        (archive, "{}.zip", Options()),
        (arrays, "medmnist:{}.npz", Options()),
        (table, "{}.csv", Options(path_column="path", label_columns=("x", "y"))),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damage_ends_in_a_sentence_or_an_oserror(
    made: Callable[[], bytes], name: str, options: Options, tmp_path: Path
):
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"an image")
    name = name.format(tmp_path / "set")
    file, draw, content = Path(name.removeprefix("medmnist:")), random.Random(0), made()
    outcomes = set()
    for _ in range(200):
        file.write_bytes(damaged(content, draw))
        outcomes.add(outcome(name, options))
    assert outcomes >= {"refused", "read"}


def outcome(name: str, options: Options) -> str:
    """Opens a source and reads every record; other errors than those promised come through."""
    try:
        source = sources.open_source(name, options)
    except UsageError as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 500
        return "refused"
    records = source.records()
    assert len({record.name for record in records}) == len(records)
    for record in records:
        try:
            if not record.refused:
                source.read(record)
        except OSError:
            return "damaged"
    return "read"
