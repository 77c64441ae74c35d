"""An export's conformal sets are those of the run, at any coverage."""

import json

import numpy as np
import pytest

from trainer.export.conformal_table import COVERAGES, ConformalTable
from trainer.metrics.conformal import ConformalSets
from trainer.metrics.scores import Scores


def scores(images: int) -> Scores:
    random = np.random.default_rng(images)
    labels = (np.arange(images)[:, None] % 2).astype(np.float32).repeat(2, 1)
    logits = (random.normal(size=(images, 2)) + labels).astype(np.float32)
    return Scores(logits, labels, np.ones(images, np.float32))


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95, 0.999])
def test_sets_read_back_are_those_that_validation_gives(coverage: float):
    table = ConformalTable.calibrate(scores(100))
    found = ConformalTable.from_dict(json.loads(json.dumps(table.as_dict()))).sets(coverage)
    wanted = ConformalSets.calibrate(scores(100), coverage)
    assert found.coverage == coverage and found.outputs is wanted.outputs
    np.testing.assert_array_equal(found.least, wanted.least)


def test_coverage_between_two_is_that_of_the_higher():
    assert ConformalTable.calibrate(scores(40)).sets(0.933).coverage == 0.94


@pytest.mark.parametrize("coverage", [0.3, 1.0, float("nan")])
def test_coverage_beyond_the_table_is_refused(coverage: float):
    with pytest.raises(ValueError, match=r"a coverage is 0\.5 to 0\.999"):
        ConformalTable.calibrate(scores(40)).sets(coverage)


@pytest.mark.parametrize(("images", "highest"), [(8, 0.8), (2, 0.5), (0, None)])
def test_too_small_a_validation_says_up_to_which_coverage_it_holds(images: int, highest):
    table = ConformalTable.calibrate(scores(images))
    assert table.highest == highest and "every class" in table.limit()
    assert ConformalTable.calibrate(scores(4000)).limit() == ""
    assert ConformalTable.calibrate(scores(4000)).highest == COVERAGES[-1]
