"""The memory of a run is told in GiB."""

import numpy as np

from trainer.system.memory import peak_gib


def test_the_peak_of_the_host_grows_with_what_it_holds():
    before = peak_gib(["/job:localhost/replica:0/task:0/device:CPU:0"])
    assert list(before) == ["host"] and 0.05 < before["host"] < 64
    more = np.ones((1 + int(before["host"])) * 2**27)  # of 8 bytes each
    assert peak_gib(["CPU:0"])["host"] > before["host"]
    assert more.size
