"""`radiograph export`, as it is called, and `radiograph serve` of what it has written."""

from pathlib import Path

import pytest
from etils import epath

from trainer.export.exported import Exported

# `radiograph serve`, which is stopped as soon as it answers.
SERVE = """
import os, signal, sys
from trainer.commands import serve
from trainer.serve import server
startup = server.Server.startup
async def stop(self, sockets):
    await startup(self, sockets)
    os.kill(os.getpid(), signal.SIGTERM)
server.Server.startup = stop
serve.run()
"""


@pytest.mark.slow
def test_export_to_a_bucket_is_whole_is_not_written_over_and_is_served(
    bucket, finished: epath.Path, tmp_path: Path
):
    command = ("-m", "trainer", "export", str(finished), "--similar=9")
    done = bucket.run(*command, "--out=gs://bucket/network")
    assert done.returncode == 0, done.stderr
    bucket.fetch("network/", tmp_path / "network")
    assert "holds pictures of training images" in done.stdout
    opened = Exported.open(tmp_path / "network")
    assert opened.metadata["runs"] == [finished.name]
    assert opened.similar is not None and len(opened.similar.pictures) == 9
    again = bucket.run(*command, "--out=gs://bucket/network")
    assert again.returncode == 2 and "gs://bucket/network is not empty" in again.stderr

    serve = ("-c", SERVE, "gs://bucket/network", "--port=0", "--drain_seconds=0", "--workers=1")
    served = bucket.run(*serve, TMPDIR=str(tmp_path))
    assert served.returncode == 143, served.stderr
    assert served.stdout.startswith("serving network at http://127.0.0.1:")
    assert [path.name for path in tmp_path.iterdir()] == ["network"]
    bucket.write("network/metadata.json", b"{}")
    changed = bucket.run(*serve)
    assert changed.returncode == 2
    assert "gs://bucket/network/metadata.json is not as it was exported" in changed.stderr
