"""The formats of an export are named by a list, and what they need is named where it is missing."""

import importlib.machinery

import pytest

from trainer.export import formats
from trainer.system.errors import UsageError


def test_litert_is_all_three_of_its_precisions_and_each_format_comes_once():
    found = formats.parse("onnx, litert,litert_int8,onnx")
    assert found == ["onnx", "litert_float32", "litert_float16", "litert_int8"]


@pytest.mark.parametrize("text", ["", ",", "tflite", "onnx,pickle", "litert_float8"])
def test_what_is_no_format_is_refused_with_those_that_are(text: str):
    with pytest.raises(UsageError, match="is not of saved_model, keras, litert, onnx"):
        formats.parse(text)


@pytest.mark.parametrize(
    ("text", "module"), [("litert_int8", "ai_edge_litert"), ("keras,onnx", "tf2onnx")]
)
def test_missing_package_is_a_sentence_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, text: str, module: str
):
    spec = importlib.machinery.ModuleSpec("x", None)
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == module else spec)
    with pytest.raises(UsageError, match=rf"needs {module}: pip install .*\[export\]"):
        formats.parse(text)
    assert formats.parse("saved_model,keras") == ["saved_model", "keras"]
