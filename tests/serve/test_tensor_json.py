"""Numbers and bytes pass through JSON unchanged."""

import json
import math

import numpy as np
import pytest

from trainer.serve import tensor_json
from trainer.serve.refusal import Refusal

TYPES = {"a": np.dtype("float32"), "b_bytes": np.dtype(object)}


def test_floats_have_no_digits_that_they_do_not_have_and_may_be_nan():
    answer = tensor_json.answer({"p": np.array([0.2, np.nan, -np.inf], np.float32)}, True)
    assert json.dumps(answer) == '{"predictions": [0.2, NaN, -Infinity]}'
    body = b'{"inputs": [1, 2.5, NaN, -Infinity]}'
    _, found = tensor_json.read_tensors(tensor_json.parse(body), {"a": np.dtype("float32")})
    np.testing.assert_array_equal(found["a"], np.array([1, 2.5, math.nan, -math.inf], "f4"))


def test_only_outputs_that_are_named_so_are_base64():
    value = np.array([b"\xff"], object)
    assert tensor_json.answer({"x_bytes": value}, False) == {"outputs": [{"b64": "/w=="}]}
    assert tensor_json.answer({"x": np.array([b"a"], object)}, False) == {"outputs": ["a"]}


def test_several_inputs_come_as_objects_with_each_of_them():
    row = {"a": [1, 2], "b_bytes": {"b64": "_-8="}}  # the web-safe alphabet
    rows, found = tensor_json.read_tensors({"instances": [row, row]}, TYPES)
    assert rows and found["a"].shape == (2, 2) and found["b_bytes"].tolist() == [b"\xff\xef"] * 2
    for body, start in (
        ({"instances": [1]}, "instances is a plain list"),
        ({"inputs": [1]}, "inputs is a plain value/list"),
        ({"instances": [{"a": 1}]}, "Failed to process element: 0 of 'instances' list."),
    ):
        with pytest.raises(Refusal, match=start):
            tensor_json.read_tensors(body, TYPES)


@pytest.mark.parametrize("value", [2**24 + 1, 1e39, 10**400])
def test_number_that_a_float_cannot_hold_is_refused(value: float):
    with pytest.raises(Refusal, match="to float without loss of precision"):
        tensor_json.read_tensors({"inputs": [value]}, {"a": np.dtype("float32")})


def test_error_quotes_little_of_a_large_request():
    with pytest.raises(Refusal) as refused:
        tensor_json.read_tensors({"instances": "x" * 10_000}, TYPES)
    assert len(str(refused.value)) < 300


@pytest.mark.timeout(20)
def test_lists_in_hundreds_of_lists_are_refused_at_once():
    body = b"[" * 900 + b"1," * 100_000 + b"1" + b"]" * 900
    for instances in (body, b'{"a": ' + body + b"}"):  # of which an error quotes the start alone
        document = tensor_json.parse(b'{"instances": ' + instances + b"}")
        with pytest.raises(Refusal):
            tensor_json.read_tensors(document, TYPES)
    nested = tensor_json.parse(b'{"inputs": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}")
    with pytest.raises(Refusal, match="Encountered list at unexpected level: 32"):
        tensor_json.read_tensors(nested, {"a": np.dtype("float32")})
