"""Decoded pixels are kept where they fit, in one array, and give the same batches anywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
from etils import epath

from tests.forks import Forks
from trainer.config.schema import default
from trainer.data import pipeline, summary_file
from trainer.data.pixel_cache import FREE_SHARE, PixelCache
from trainer.system.errors import UsageError
from trainer.system.memory import GIB

SIDE = 1024  # pixels; a split of 1024 images takes a GiB
SPLITS = {
    name: SimpleNamespace(size=1024 * gib, labels=["SICK"])
    for name, gib in (("train", 8), ("validation", 1), ("test", 1))
}

PEAK = """
import sys
import numpy as np
from trainer.data import pipeline
from trainer.system.memory import peak_bytes

path, side, copies = sys.argv[1], 512, 16
split = pipeline.open_split(path, "train")
pipeline.pixels(pipeline.open_split(path, "validation"), side, "host")  # loads what decodes
many = pipeline.Split(
    "train", copies * split.size, split.labels, split.classes, split.counts,
    lambda numbers: split.read(numbers % split.size),
)
before = peak_bytes()
kept = pipeline.pixels(many, side, "host")
print((peak_bytes() - before) / pipeline.pixel_bytes(many, side))
"""


def cache(mode: str, free_gib: float, processes: int = 1) -> PixelCache:
    config = default().data
    config.cache, config.image_size = mode, SIDE
    return PixelCache(SPLITS, config, free=int(free_gib * GIB), processes=processes)


@pytest.mark.parametrize(
    ("free_gib", "processes", "kept"),
    [
        (10.1 / FREE_SHARE, 1, "for the decoded images of train, validation, test"),
        (9.1 / FREE_SHARE, 1, "of train, validation; decoded at every visit: test (1.00 GiB)"),
        (7.9 / FREE_SHARE, 1, "of validation, test; decoded at every visit: train (8.00 GiB)"),
        (10.1 / FREE_SHARE, 2, "of validation, test; decoded at every visit: train (8.00 GiB)"),
        (0.1, 1, "free; decoded at every visit: train (8.00 GiB), validation"),
    ],
)
def test_what_fits_is_kept_and_a_line_says_what(free_gib: float, processes: int, kept: str):
    assert kept in cache("auto", free_gib, processes).description


def test_what_has_to_be_kept_and_does_not_fit_is_refused_before_it_is_decoded():
    assert "train, validation, test" in cache("host", 10.1).description
    with pytest.raises(UsageError, match=r"10\.00 GiB .* 9\.90 GiB .*=auto"):
        cache("host", 9.9)
    assert "decoded at every visit: train" in cache("none", 100).description


def test_wherever_pixels_are_kept_the_batches_are_the_same(phantoms: epath.Path):
    splits = {name: pipeline.open_split(phantoms, name) for name in summary_file.SPLITS}
    config, runs = default().data, []
    config.image_size = 24
    for mode, free in (("none", GIB), ("host", GIB), ("auto", GIB), ("auto", 0)):
        config.cache = mode
        kept = PixelCache(splits, config, free=free)
        assert kept.pixels("train") is kept.pixels("train")
        training = pipeline.train_batches(kept.pixels("train"), 8, seed=3, epochs=2)
        runs.append([*training, *pipeline.evaluation_batches(kept.pixels("test"), 8)])
    assert len(runs[0]) == pipeline.steps(168, 8) + pipeline.steps(28, 8)
    for other in runs[1:]:
        for batch, same in zip(runs[0], other, strict=True):
            for name in batch:
                np.testing.assert_array_equal(batch[name], same[name])


def test_pixels_in_memory_take_no_more_than_their_array_at_any_time(
    phantoms: epath.Path, forks: Forks
):
    done = forks.run("-c", PEAK, phantoms)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < 1.6  # a part of it are batches on their way
