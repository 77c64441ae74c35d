"""A run is refused before any work where its config and its data do not go together."""

from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict

from trainer.system.errors import UsageError
from trainer.training.run import check_data


@pytest.mark.parametrize(("batch", "images"), [(200, 84), (32, 20)])
def test_a_batch_of_more_images_than_there_are_is_refused(
    tiny: ConfigDict, batch: int, images: int
):
    data = SimpleNamespace(splits={"train": SimpleNamespace(size=images)}, path="DATA")
    tiny.train.batch_size = batch
    with pytest.raises(
        UsageError, match=rf"={batch} is more than the {images} .*={images} or less"
    ):
        check_data(tiny, data)
    tiny.train.batch_size = images
    check_data(tiny, data)
