"""A run is refused before TensorFlow is imported where its config and its data do not agree."""

import pytest
from ml_collections import ConfigDict

from trainer.system.errors import UsageError
from trainer.training.run_checks import check_data


@pytest.mark.parametrize(("batch", "images"), [(200, 84), (32, 20)])
def test_a_batch_of_more_images_than_there_are_is_refused(
    tiny: ConfigDict, batch: int, images: int
):
    summary = {"splits": {"train": {"images": images}}}
    tiny.train.batch_size = batch
    with pytest.raises(
        UsageError, match=rf"={batch} is more than the {images} .*={images} or less"
    ):
        check_data(tiny, summary)
    tiny.train.batch_size = images
    check_data(tiny, summary)


def test_a_softmax_is_refused_for_labels_that_may_hold_together(tiny: ConfigDict):
    summary = {"splits": {"train": {"images": 99}}}
    tiny.data.path, tiny.loss.name = "DATA", "softmax"
    with pytest.raises(UsageError, match="labels of data.path=DATA do not.*loss.name=auto"):
        check_data(tiny, summary)
    check_data(tiny, summary | {"exclusive": True})


def test_a_file_that_is_not_there_is_refused(tiny: ConfigDict):
    tiny.loss.name = "nowhere.py:loss"
    with pytest.raises(UsageError, match="there is no file nowhere.py"):
        check_data(tiny, {"splits": {"train": {"images": 99}}})
