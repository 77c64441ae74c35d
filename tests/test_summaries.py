"""TensorBoard gets what a person wants to see."""

import numpy as np
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer.models import article
from trainer.summaries import ActivationWatch, Summaries


def test_undefined_metrics_are_left_out(tmp_path: epath.Path):
    summaries = Summaries(epath.Path(tmp_path))
    summaries.scalars("validation", 3, {"auc": None, "accuracy": 0.5})
    summaries.flush()
    events = EventAccumulator(str(tmp_path / "tensorboard/validation")).Reload()
    assert events.Tags()["tensors"] == ["accuracy"]
    assert events.Tensors("accuracy")[0].step == 3


def test_every_convolution_and_pooling_layer_is_shown(tmp_path: epath.Path):
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), np.uint8)
    summaries = Summaries(epath.Path(tmp_path))
    ActivationWatch(article.network((48, 48, 3)), images, ["NORMAL", "SICK"]).write(summaries, 0)
    files = sorted(f.name for f in (tmp_path / "pictures/activations").iterdir())
    assert files == [
        f"{2 * n + k + 1:02d}_{kind}{n + 1}.png"
        for n in range(4)
        for k, kind in enumerate(("conv", "pool"))
    ]
