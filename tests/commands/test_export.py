"""`radiograph export`, as it is called."""

from pathlib import Path

import pytest
from etils import epath

from trainer.export.exported import Exported


@pytest.mark.slow
def test_export_to_a_bucket_is_whole_and_is_not_written_over(
    bucket, finished: epath.Path, tmp_path: Path
):
    command = ("-m", "trainer", "export", str(finished), "--format=keras")
    done = bucket.run(*command, "--out=gs://bucket/network")
    assert done.returncode == 0, done.stderr
    bucket.fetch("network/", tmp_path / "network")
    assert Exported.open(tmp_path / "network").metadata["runs"] == [finished.name]
    again = bucket.run(*command, "--out=gs://bucket/network")
    assert again.returncode == 2 and "gs://bucket/network is not empty" in again.stderr
