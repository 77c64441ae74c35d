"""All that is shown of a network and a split can be drawn, and shows what it says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import models
from trainer.data import data_split, examples
from trainer.metrics.label_result import LabelResult
from trainer.metrics.outputs import EXCLUSIVE
from trainer.metrics.scores import Scores
from trainer.models import views
from trainer.models.inputs import images_to_float
from trainer.show import figures, pictures
from trainer.show.figures import Figures
from trainer.show.label_tags import tags_of
from trainer.show.pictures.tiles import Sheet


@pytest.fixture
def validation(tiny: ConfigDict) -> data_split.Split:
    return data_split.open_split(tiny.data.path, "validation")


@pytest.fixture
def shown(tiny: ConfigDict, validation: data_split.Split) -> Figures:
    return Figures(tiny, models.build(tiny.model, tiny.data.image_size), validation)


def said(split: data_split.Split, right: bool = True) -> Scores:
    """Scores of every image: all right, or the surer the wronger."""
    labels = np.array([example.labels for example in examples.read_metadata(split)], np.float32)
    logits = (2 * labels - 1) * np.linspace(0.5, 3, len(labels))[:, None]
    return Scores(logits if right else -logits, labels, np.ones(len(labels), np.float32))


def with_labels(split: data_split.Split, *names: str) -> data_split.Split:
    """The split with more labels, of which all but the first are negative."""

    def read(numbers: np.ndarray) -> np.ndarray:
        stored = [tf.train.Example.FromString(example) for example in split.read(numbers)]
        for example in stored:
            more = [0] * (len(names) - 1)
            example.features.feature["labels"].int64_list.value.extend(more)
        return np.array([example.SerializeToString() for example in stored], object)

    return dataclasses.replace(split, labels=list(names), classes=[], read=read)


def assert_picture(picture: np.ndarray):
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert len(np.unique(picture)) > 8 and picture.std() > 5


def test_what_the_network_has_learnt_is_shown(tiny: ConfigDict, shown: Figures):
    few, whole = list(shown.network()), list(shown.network(whole=True))
    for figure in whole:
        if figure.kind == "picture":
            assert_picture(figure.value)
        else:
            assert np.isfinite(figure.value).all() and figure.value.size > 0
    tags = [figure.tag for figure in few]
    assert len(set(tags)) == len(tags) and {"filters/stem", "explanations/examples"} < set(tags)
    layers = [tag for tag in tags if tag.startswith("activations/")]
    assert layers[:2] == ["activations/01_stem", "activations/02_stem_pool"]
    assert layers == sorted(layers) and len(layers) == 8
    more = {figure.tag for figure in whole} - set(tags)
    assert more == {tag.replace("activations/", "activations_whole/") for tag in layers}
    by_tag = {figure.tag: figure.value for figure in few}
    assert by_tag["weights/stem/kernel"].shape == (5, 5, 1, 4)
    # Integrated gradients are a row more.
    (integrated,) = (f.value for f in whole if f.tag == "explanations/examples")
    assert integrated.shape[0] > by_tag["explanations/examples"].shape[0] + 50

    tiny.summaries.channels = 1
    one = {figure.tag: figure.value for figure in shown.network()}
    assert not np.array_equal(one[layers[0]], by_tag[layers[0]])


def test_the_probability_beside_the_evidence_is_that_of_all_views(
    tiny: ConfigDict, validation: data_split.Split, monkeypatch: pytest.MonkeyPatch
):
    tiny.model.views = 6
    network = models.build(tiny.model, tiny.data.image_size)
    sheets: list[tuple[np.ndarray, list[str]]] = []

    def heat_sheet(title: str, images: np.ndarray, maps: object, *, captions: list[str]) -> Sheet:
        sheets.append((images, captions))
        return pictures.heat.heat_sheet(title, images, maps, captions=captions)

    monkeypatch.setattr(figures, "heat_sheet", heat_sheet)
    list(Figures(tiny, network, validation).network())

    ((images, captions),) = sheets
    logits = views.answer(network, images_to_float(tf.constant(images)), 6)
    probability = tf.sigmoid(logits).numpy()[:, 0]
    assert [float(caption.split()[-1]) for caption in captions] == pytest.approx(
        probability, abs=6e-4
    )


@pytest.mark.parametrize("right", [True, False])
def test_the_evaluation_is_shown_with_errors_or_that_there_are_none(
    shown: Figures,
    validation: data_split.Split,
    label_result: Callable[..., LabelResult],
    right: bool,
):
    scores = said(validation, right)
    results = [label_result(name=validation.labels[0])]
    figures = list(shown.evaluation(results, scores, [0.0]))
    charts = ("roc", "precision_recall", "calibration", "scores", "confusion")
    assert [figure.tag for figure in figures] == [
        *(f"{validation.labels[0]}/{name}" for name in charts),
        *("errors", "explanations/errors"),
    ]
    for figure in figures[: len(charts)]:
        assert_picture(figure.value)
    for figure in figures[len(charts) :]:
        assert figure.kind == "picture" and figure.value.std() > 1


def test_the_worst_errors_come_first(
    tiny: ConfigDict, shown: Figures, validation: data_split.Split
):
    tiny.summaries.errors = 2
    scores = said(validation, right=False)
    kinds = shown._worst_errors(scores, [0.0])
    (negatives, of_negatives), (positives, of_positives) = kinds
    assert negatives == "false positives: NORMAL predicted as PNEUMONIA"
    assert positives == "false negatives: PNEUMONIA predicted as NORMAL"
    names = [Path(example.name).stem for example in examples.read_metadata(validation)]
    for label, found in ((0, of_negatives), (1, of_positives)):
        wrong = np.flatnonzero(scores.labels[:, 0] == label)[::-1][:2]  # the last are the surest
        assert [caption.split("\n")[0] for caption in found.captions] == [names[n] for n in wrong]
        assert found.images.shape == (len(wrong), 32, 32, 1)


def test_errors_are_ordered_by_their_distance_from_the_threshold_of_their_label(
    tiny: ConfigDict, validation: data_split.Split
):
    split = with_labels(validation, "A", "B")
    model = models.build(tiny.model, tiny.data.image_size, 2)
    logits = np.full((validation.size, 2), -9, np.float32)
    logits[0, 0], logits[1, 1] = 3, 2  # false positives: 1 above the threshold of A, 4 above B's
    scores = Scores(logits, np.zeros_like(logits), np.ones(validation.size, np.float32))
    figures = Figures(tiny, model, split)
    (_, positives), _ = figures._worst_errors(scores, [2.0, -2.0])
    assert list(positives.outputs) == [1, 0]
    assert figures._where_errors_begin(scores, [2.0, -2.0]).startswith("each label at its")
    assert figures._where_errors_begin(scores, [2.0]) == (
        "predicted from 0.88 on; furthest from this threshold first"
    )


def test_errors_of_exclusive_classes_are_those_taken_for_another(
    tiny: ConfigDict, validation: data_split.Split
):
    split = dataclasses.replace(with_labels(validation, "A", "B", "C"), exclusive=True)
    model = models.build(tiny.model, tiny.data.image_size, 3)
    logits = np.full((validation.size, 3), -3, np.float32)
    logits[:, 0], logits[4:6, 1], logits[5, 0] = 1, 4, -1
    labels = np.eye(3, dtype=np.float32)[np.arange(validation.size) % 2 * 2]
    scores = Scores(logits, labels, np.ones(validation.size, np.float32), EXCLUSIVE)
    figures = Figures(tiny, model, split, outputs=EXCLUSIVE)
    (_, first), (kind, second), (_, third) = figures._worst_errors(scores, [])
    assert kind == "errors: B predicted as another class" and not len(second.captions)
    assert list(first.outputs) == [1] and first.captions[0].endswith("B 0.982")
    assert third.outputs[0] == 1 and set(third.outputs[1:]) == {0}
    assert [figure.tag for figure in figures.evaluation([], scores, [])] == [
        *("confusion", "errors", "explanations/errors")
    ]


def test_a_label_becomes_a_tag_that_is_a_file_name_too():
    tags = tags_of(["Pleural Thickening/left", "PNEUMONIA"])
    assert list(tags.values()) == ["Pleural_Thickening_left", "PNEUMONIA"]
    hostile = ["a b", "a_b", "a/b", "A B", "..", ".", "x" * 300, "x" * 301, "肺炎"]
    tags = tags_of(hostile)
    assert len({tag.casefold() for tag in tags.values()}) == len(hostile)
    assert all(len(tag) < 100 and tag.strip(".") and "/" not in tag for tag in tags.values())
