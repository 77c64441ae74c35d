"""Heat maps lie under the paths of their files."""

import numpy as np
import pytest
from etils import epath
from PIL import Image

from trainer.judge import heat_maps
from trainer.judge.heat_maps import HeatMaps
from trainer.judge.input_files import DecodedFile
from trainer.judge.predicted import Predicted
from trainer.training.trained_model import TrainedModel


@pytest.mark.parametrize(
    ("path", "picture"),
    [
        ("/a/b.png", "a/b.png"),
        ("../b.jpeg", "b.jpeg"),
        ("gs://bucket/b", "bucket/b"),
        ("set.zip/in/b", "set.zip/in/b"),
    ],
)
def test_a_picture_stays_below_the_folder(path, picture):
    assert heat_maps.below(path) == picture


def test_each_file_has_its_picture_by_the_probabilities_that_are_known(
    finished, tmp_path, monkeypatch
):
    monkeypatch.delattr(TrainedModel, "logits")  # nothing is predicted again
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), np.uint8)

    heat = HeatMaps(epath.Path(tmp_path), TrainedModel.load(finished))
    files = map(DecodedFile, ("x/a.png", "/y/b.png"))
    one = np.array([0.5])
    heat.write(
        [Predicted(f, x, one, one, one > 0, None) for f, x in zip(files, images, strict=True)]
    )

    for name in ("x/a.png.png", "y/b.png.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.mode == "RGB" and min(picture.size) > 200
