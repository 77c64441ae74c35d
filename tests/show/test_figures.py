"""All that is shown of a network and a split can be drawn, and shows what it says."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import models
from trainer.data import examples, pipeline
from trainer.metrics import operating_points
from trainer.metrics.scores import Scores
from trainer.show.figures import Figure, Figures, tag_of


@pytest.fixture
def validation(tiny: ConfigDict) -> pipeline.Split:
    return pipeline.open_split(tiny.data.path, "validation")


@pytest.fixture
def shown(tiny: ConfigDict, validation: pipeline.Split) -> Figures:
    return Figures(tiny, models.build(tiny.model, tiny.data.image_size), validation)


def said(split: pipeline.Split, right: bool = True) -> Scores:
    """Scores of every image: all right, or the surer the wronger."""
    labels = np.array([example.labels for example in examples.read_metadata(split)], np.float32)
    logits = (2 * labels - 1) * np.linspace(0.5, 3, len(labels))[:, None]
    return Scores(logits if right else -logits, labels, np.ones(len(labels), np.float32))


def drawn(exhibits: list[Figure]) -> dict[str, np.ndarray]:
    return {exhibit.tag: exhibit.draw() for exhibit in exhibits}


def assert_picture(picture: np.ndarray):
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert len(np.unique(picture)) > 8 and picture.std() > 5


def test_every_inner_layer_is_shown_in_order_and_whole_if_asked(shown: Figures):
    some, whole = shown.activations(), shown.activations(whole=True)
    tags = [exhibit.tag for exhibit in some if exhibit.kind == "picture"]
    assert tags[:2] == ["activations/01_stem", "activations/02_stem_pool"]
    assert tags == sorted(tags) and len(tags) == 8
    more = [exhibit.tag for exhibit in whole if exhibit.tag.startswith("activations_whole/")]
    assert more == [tag.replace("activations/", "activations_whole/") for tag in tags]
    for exhibit in whole:
        value = exhibit.draw()
        if exhibit.kind == "picture":
            assert_picture(value)
        else:
            assert np.isfinite(value).all() and value.size > 8


def test_as_many_channels_are_shown_as_the_config_allows(tiny: ConfigDict, shown: Figures):
    (all_four,) = (e.draw() for e in shown.activations() if e.tag == "activations/01_stem")
    tiny.summaries.channels = 1
    (one,) = (e.draw() for e in shown.activations() if e.tag == "activations/01_stem")
    assert not np.array_equal(one, all_four)


def test_the_weights_are_shown_as_they_are_now(shown: Figures):
    filters, *histograms = shown.weights()
    before = filters.draw()
    assert filters.tag == "filters/stem"
    assert_picture(before)
    assert {h.kind for h in histograms} == {"histogram"}
    kernel = next(h for h in histograms if h.tag == "weights/stem/kernel").draw()
    assert kernel.shape == (5, 5, 1, 4)


def test_fixed_examples_of_each_class_are_explained(shown: Figures):
    explained = drawn(shown.explanations())
    assert list(explained) == ["explanations/examples"]
    assert_picture(explained["explanations/examples"])


def test_each_label_has_its_charts(shown: Figures, validation: pipeline.Split):
    scores = said(validation)
    results = shown.label_results(scores, operating_points.choose(scores))
    (label,) = validation.labels
    charts = drawn(shown.label_charts(lambda: results, scores))
    names = ("roc", "precision_recall", "calibration", "scores", "confusion")
    assert list(charts) == [f"{label}/{name}" for name in names]
    for picture in charts.values():
        assert_picture(picture)


def test_a_label_of_one_class_has_the_charts_that_are_defined(
    shown: Figures, validation: pipeline.Split
):
    scores = said(validation)
    alone = scores._replace(labels=np.ones_like(scores.labels))
    results = shown.label_results(alone, operating_points.choose(alone))
    charts = drawn(shown.label_charts(lambda: results, alone))
    assert [tag.split("/")[1] for tag in charts] == ["scores", "confusion"]


def test_the_most_confident_errors_come_first(
    tiny: ConfigDict, shown: Figures, validation: pipeline.Split
):
    tiny.summaries.errors = 2
    scores = said(validation, right=False)
    kinds = shown._most_confident_errors(scores, [0.0])
    (negatives, of_negatives), (positives, of_positives) = kinds
    assert negatives == "false positives: NORMAL predicted as PNEUMONIA"
    assert positives == "false negatives: PNEUMONIA predicted as NORMAL"
    names = [Path(example.name).stem for example in examples.read_metadata(validation)]
    for label, found in ((0, of_negatives), (1, of_positives)):
        wrong = np.flatnonzero(scores.labels[:, 0] == label)[::-1][:2]  # the last are the surest
        assert [caption.split("\n")[0] for caption in found.captions] == [names[n] for n in wrong]
        assert found.images.shape == (len(wrong), 32, 32, 1)


@pytest.mark.parametrize("right", [True, False])
def test_errors_are_shown_and_that_there_are_none_is_said(
    shown: Figures, validation: pipeline.Split, right: bool
):
    pictures = drawn(shown.errors(said(validation, right), [0.0]))
    assert list(pictures) == ["errors", "explanations/errors"]
    for picture in pictures.values():
        assert picture.std() > 1


def test_a_label_becomes_a_tag_that_is_a_file_name_too():
    assert tag_of("Pleural Thickening/left") == "Pleural_Thickening_left"
    assert tag_of("PNEUMONIA") == "PNEUMONIA"


def test_the_graph_is_the_networks(shown: Figures):
    names = {operation.name.split("/")[1] for operation in shown.graph().get_operations()[2:40]}
    assert any("stem" in name for name in names), names


def test_looking_reads_nothing_before_it_is_asked_to_draw(
    tiny: ConfigDict, validation: pipeline.Split, tmp_path: epath.Path
):
    def read(numbers: np.ndarray) -> np.ndarray:
        raise AssertionError(f"read {numbers}")

    unread = pipeline.Split(**{**vars(validation), "read": read})
    shown = Figures(tiny, models.build(tiny.model, tiny.data.image_size), unread)
    scores = said(validation)
    exhibits = [*shown.activations(), *shown.explanations(), *shown.errors(scores, [0.0])]
    with pytest.raises(tf.errors.UnknownError, match="read"):
        exhibits[0].draw()
