"""Every kind of source is read from a bucket as from a disk."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

UPLOAD_AND_READ = """
import pickle, sys
from pathlib import Path
from etils import epath
from trainer.data import sources
from trainer.data.sources import Options

here, bucket = Path(sys.argv[1]), epath.Path("gs://bucket/sources")
for file in sorted(file for file in here.rglob("*") if file.is_file()):
    target = bucket / str(file.relative_to(here))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.read_bytes())

of_table = Options(image_root=f"{bucket}/set", path_column="path", label_columns=("x",))
for name, options in (
    (f"{bucket}/set", Options()),
    (f"{bucket}/set.zip", Options()),
    (f"{bucket}/table.csv", of_table),
    (f"medmnist:{bucket}/own.npz", Options()),
):
    source = pickle.loads(pickle.dumps(sources.open_source(name, options)))
    print([(r.name, r.split, len(source.read(r))) for r in source.records()])
(bucket / "set/test/sick/3.png").unlink()
try:
    source = sources.open_source(f"{bucket}/set")
    (bucket / "set/train/sick/2.png").unlink()
    source.read(source.records()[-1])
except OSError as mistake:
    print("OSError")
"""


@pytest.mark.slow
def test_sources_in_a_bucket(bucket, tmp_path: Path):
    members = {"train/no/1.png": b"1", "train/sick/2.png": b"22", "test/sick/3.png": b"333"}
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).write_bytes(content)
    (tmp_path / "table.csv").write_text("path,x\n1.png,1\n3.png,0\n")
    images = np.zeros((2, 28, 28), np.uint8)
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=np.array([[0], [1]]))

    done = bucket.run("-c", UPLOAD_AND_READ, str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder, archive, table, arrays, mistake = done.stdout.splitlines()
    expected = "[('test/sick/3.png', 'test', 3), ('train/no/1.png', 'train', 1), "
    assert folder == archive == expected + "('train/sick/2.png', 'train', 2)]"
    assert table == "[('1.png', '', 1), ('3.png', '', 3)]"
    assert arrays.startswith("[('train/000000', 'train', ")
    assert mistake == "OSError"
