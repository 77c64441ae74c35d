"""An export that is served in this process."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from etils import epath

from trainer.export.exported import Exported
from trainer.serve import address, server
from trainer.serve.application import Service


@pytest.fixture(scope="session")
def service(lungs: epath.Path) -> Service:
    return server.service(Exported.open(lungs), "lungs", server.Options(batch=8))


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    """A client of that server, which listens in a thread."""
    bound = address.bind("127.0.0.1", 0)
    running = server.Server(service, drain=0)
    thread = threading.Thread(target=running.run, args=([bound],), daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
        yield client
    running.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
