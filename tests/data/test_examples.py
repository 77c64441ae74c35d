"""A few examples of each class or label are found, whoever they are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from trainer.config.schema import default
from trainer.data import columns_file, data_split, examples
from trainer.system.errors import DataLost

SIZE = 24


@pytest.fixture(scope="module")
def split(phantoms: epath.Path) -> data_split.Split:
    return data_split.open_split(phantoms, "train")


def test_the_first_of_each_class_come_healthy_first(split: data_split.Split):
    data, classes = default().data, examples.groups(split)
    data.image_size = SIZE
    images, names, groups = examples.first_of_each_group(split, data, 3, wanted=classes)
    assert images.shape == (6, SIZE, SIZE, 1) and groups == ["NORMAL"] * 3 + ["PNEUMONIA"] * 3
    all_names, _ = examples.identities(split)
    assert set(names) <= {name.split("/")[-1] for name in all_names}
    assert all("IM-" in name for name in names[:3]) and all("person" in n for n in names[3:])


def test_of_several_labels_the_commonest_come_first_and_an_image_stands_for_its_rarest(
    split: data_split.Split,
):
    several = dataclasses.replace(
        split, labels=["rare", "common", "some"], classes=[], counts=[(3, 97), (60, 40), (9, 0)]
    )
    assert examples.groups(several) == [examples.NO_LABEL, "common", "some", "rare"]
    exclusive = dataclasses.replace(several, exclusive=True)
    assert examples.groups(exclusive) == ["rare", "common", "some"]
    assert examples._groups_with(several, np.array([1, 1, -1])) == ["rare", "common"]
    assert examples._groups_with(several, np.array([0, -1, 0])) == [examples.NO_LABEL]


def test_names_patients_and_labels_are_read_without_the_images(split: data_split.Split):
    older = dataclasses.replace(split, folder=None)  # which has them with the images alone
    stored = list(examples.read_metadata(older))
    unread = dataclasses.replace(split, read=lambda numbers: pytest.fail("reads an image"))
    apart = list(examples.read_metadata(unread))
    assert [record[:3] for record in apart] == [record[:3] for record in stored]
    np.testing.assert_array_equal([r.labels for r in apart], [r.labels for r in stored])


def test_kept_columns_are_read_and_a_set_without_them_has_none(
    split: data_split.Split, tmp_path: Path
):
    assert examples.columns(split) == {}
    kept = dataclasses.replace(split, folder=epath.Path(tmp_path), size=2)
    columns_file.write_columns(kept.folder, "train", {"sex": ["F", ""], "age": ["7", "80"]})
    columns = examples.columns(kept)
    assert {name: values.tolist() for name, values in columns.items()} == {
        "sex": ["F", ""],
        "age": ["7", "80"],
    }
    with pytest.raises(DataLost, match="columns of train .*not of 3 records"):
        examples.columns(dataclasses.replace(kept, size=3))


DAMAGED = (
    *("{", "[]", "[" * 100_000, '{"names": [], "patients": [], "labels": []}'),
    '{"names": NAMES, "patients": null, "labels": LABELS}',
    '{"names": NAMES, "patients": "x", "labels": LABELS}',
)


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_metadata_are_lost_data(split: data_split.Split, tmp_path: Path, content: str):
    content = content.replace("NAMES", str([1] * split.size))
    content = content.replace("LABELS", str([[1]] * split.size))
    (tmp_path / "metadata-train.json").write_text(content)
    damaged = dataclasses.replace(split, folder=epath.Path(tmp_path))
    with pytest.raises(DataLost, match="metadata of train"):
        list(examples.read_metadata(damaged))
