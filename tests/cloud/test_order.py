"""An order's names and labels are such as every platform takes."""

import re

import pytest

from trainer.cloud.order import read_labels, resource_name
from trainer.system.errors import UsageError


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("resnet", "resnet"),
        ("ResNet_160 px", "resnet-160-px"),
        ("2026-11-25", "run-2026-11-25"),
        ("__", "run"),
        ("x" * 80, "x" * 40),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_name_of_a_run_becomes_a_valid_resource_name(folder: str, name: str):
    assert resource_name(folder) == name
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", name)


def test_labels_are_read():
    assert read_labels(["team=x-ray", "grant="]) == {"team": "x-ray", "grant": ""}


@pytest.mark.parametrize("label", ["team", "Team=x", "1team=x", "team=X", "team=" + "x" * 64])
def test_invalid_label_is_refused(label: str):
    with pytest.raises(UsageError, match=f"--label={label}"):
        read_labels([label])
