"""Tensors as JSON and back, to the letter of TensorFlow Serving's json_tensor.cc.

Rows come as `instances` and answer in `predictions`, columns as `inputs` and answer in `outputs`.
The sentences of its errors are kept, as clients know them; what they quote is cut short.
"""

import base64
import binascii
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.serve.refusal import Refusal, invalid

SIGNATURE, INSTANCES, INPUTS = "signature_name", "instances", "inputs"
BASE64, BYTES_SUFFIX = "b64", "_bytes"
DEFAULT = "serving_default"
QUOTED = 200  # characters of a value in an error
# Of Python's parser, and what RapidJSON says.
PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Extra data": "The document root must not be followed by other values.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\escape": "Invalid escape character in string.",
}
TYPES = {"float32": "float", "float64": "double", "object": "string"}  # where names differ
MOST_LEVELS = 32  # of lists in lists; NumPy has 64
EXACT_FLOAT, EXACT_DOUBLE = 2**24 - 1, 2**53 - 1  # largest integers

Specs = Mapping[str, np.dtype]  # of a signature's inputs; bytes are objects


def parse(body: bytes) -> dict[str, Any]:
    """Returns the object that a body holds.

    Raises:
      Refusal: 400, it is none.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except UnicodeDecodeError as error:
        raise invalid(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from error
    except json.JSONDecodeError as error:
        if not body.strip():
            raise invalid("JSON Parse error: The document is empty. at offset: 0") from error
        reason = PARSE_ERRORS.get(error.msg) or _missing_comma(error)
        raise invalid(f"JSON Parse error: {reason} at offset: {error.pos}") from error
    except (RecursionError, ValueError) as error:  # brackets in brackets, numbers of 5,000 digits
        raise invalid("JSON Parse error: Terminate parsing due to Handler error.") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {quoted(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """Returns the signature that a request asks for."""
    name = document.get(SIGNATURE, "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {quoted(document)} not formatted correctly. 'signature_name' key must "
            "be a string value."
        )
    return name or DEFAULT


def read_tensors(document: Mapping[str, Any], specs: Specs) -> tuple[bool, dict[str, np.ndarray]]:
    """Returns whether a request has rows, and its tensors by name.

    Args:
      document: the request.
      specs: types of the signature's inputs.

    Raises:
      Refusal: 400, they are not of these types, or of several shapes.
    """
    if INSTANCES in document and INPUTS in document:
        raise invalid(
            f"JSON Value: {quoted(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if INSTANCES in document:
        rows = document[INSTANCES]
        if not isinstance(rows, list):
            raise invalid(
                f"JSON Value: {quoted(document)} Excepting 'instances' to be an list/array"
            )
        if not rows:
            raise invalid(f"JSON Value: {quoted(document)} No values in 'instances' array")
        return True, _read_rows(rows, specs)
    if INPUTS in document:
        return False, _read_columns(document[INPUTS], specs)
    raise invalid("Missing 'inputs' or 'instances' key")


def answer(outputs: Mapping[str, np.ndarray], rows: bool) -> dict[str, Any]:
    """Returns tensors as a response has them.

    Args:
      outputs: by name, bytes as objects; the first dimension of rows is that of the batch.
      rows: whether the request had rows.
    """
    columns = {name: _values(name, value) for name, value in outputs.items()}
    if not rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    cells = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in cells]}


def _read_rows(rows: Sequence[Any], specs: Specs) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_named(rows[0])
    found: dict[str, list[np.ndarray]] = {}
    for number, row in enumerate(rows):
        if named and not _is_named(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if not named and _is_named(row):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
        for name, value in row.items() if named else [(next(iter(specs)), row)]:
            try:
                _add(found, name, value, specs=specs)
            except Refusal as refusal:
                key = f" key: {name}" if named else ""
                raise invalid(
                    f"Failed to process element: {number}{key} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: {refusal}"
                ) from refusal
        if named and set(row) != set(specs):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{quoted(row)} must only have keys: {','.join(sorted(specs))}"
            )
    return {name: np.stack(values) for name, values in found.items()}


def _add(found: dict[str, list[np.ndarray]], name: str, value: Any, *, specs: Specs) -> None:
    """Adds one row of an input to those before, which have to be of the same shape."""
    if name not in specs:
        raise invalid(f"JSON object: does not have named input: {name}")
    one = _tensor(value, specs[name])
    before = found.setdefault(name, [])
    if before and before[0].size != one.size:
        raise invalid(f"Expecting tensor size: {before[0].size} but got: {one.size}")
    if before and before[0].shape != one.shape:
        raise invalid(f"Expecting shape {_shown(before[0].shape)} but got: {_shown(one.shape)}")
    before.append(one)


def _read_columns(value: Any, specs: Specs) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        ((name, dtype),) = specs.items()
        return {name: _tensor(value, dtype)}
    for name in specs:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], dtype) for name, dtype in specs.items()}


def _tensor(value: Any, dtype: np.dtype) -> np.ndarray:
    """Returns a value or nested lists of them as an array."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if len(shape) > MOST_LEVELS:
        raise invalid(f"Encountered list at unexpected level: {MOST_LEVELS}")
    leaves = [value]
    for size in shape:
        if not all(type(each) is list and len(each) == size for each in leaves):
            _complain(value, 0, shape=shape, dtype=dtype)
        leaves = list(itertools.chain.from_iterable(leaves))
    if not _fit(leaves, dtype):
        _complain(value, 0, shape=shape, dtype=dtype)
    if dtype != np.dtype(object):
        return np.array(leaves, dtype).reshape(shape)
    array = np.empty(len(leaves), object)
    array[:] = [_decoded(leaf) for leaf in leaves]
    return array.reshape(shape)


def _fit(leaves: Sequence[Any], dtype: np.dtype) -> bool:
    """Returns whether all values are of a type; quick, as an image has many."""
    kinds = set(map(type, leaves))
    if dtype.kind == "b":
        return kinds <= {bool}
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return kinds <= {int} and all(
            limits.min <= end(leaves, default=0) <= limits.max for end in (min, max)
        )
    if dtype.kind == "f":
        return kinds <= {int, float} and all(_is_exact(leaf, dtype) for leaf in leaves)
    return kinds <= {str, dict} and all(type(leaf) is str or _is_base64(leaf) for leaf in leaves)


def _complain(value: Any, level: int, *, shape: Sequence[int], dtype: np.dtype) -> None:
    """Raises the Refusal of the first value that is wrong."""
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {quoted(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        if not _fit([value], dtype):
            raise _type_error(value, dtype)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for each in value:
        _complain(each, level + 1, shape=shape, dtype=dtype)


def _type_error(value: Any, dtype: np.dtype) -> Refusal:
    name = TYPES.get(dtype.name, dtype.name)
    if isinstance(value, dict) and dtype == np.dtype(object):
        return invalid(f"JSON Value: {quoted(value)} not formatted correctly for base64 data")
    if dtype.kind == "f" and type(value) in (int, float):
        return invalid(
            f"Cannot convert JSON value: {quoted(value)} to {name} without loss of precision."
        )
    return invalid(
        f"JSON Value: {quoted(value)} Type: {_kind(value)} is not of expected type: {name}"
    )


def _is_exact(value: int | float, dtype: np.dtype) -> bool:
    if type(value) is int:
        return abs(value) <= (EXACT_FLOAT if dtype == np.float32 else EXACT_DOUBLE)
    return not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)


def _decoded(value: str | dict[str, str]) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    text = value[BASE64].translate({45: "+", 95: "/"})  # the web-safe alphabet, too
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _values(name: str, value: np.ndarray) -> Any:
    """Returns a tensor as nested lists, a float32 with no digits that it does not have."""
    if value.dtype == object:
        as_bytes = name.endswith(BYTES_SUFFIX)
        return _nested(value, _encoded if as_bytes else lambda one: one.decode(errors="replace"))
    if value.dtype == np.float32:
        return _nested(value, lambda one: float(str(one)))
    return value.tolist()


def _nested(value: np.ndarray, function: Any) -> Any:
    flat = np.empty(value.size, object)
    flat[:] = [function(one) for one in value.ravel()]
    return flat.reshape(value.shape).tolist()


def _encoded(value: bytes) -> dict[str, str]:
    return {BASE64: base64.b64encode(value).decode()}


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {BASE64} and isinstance(value[BASE64], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _kind(value: Any) -> str:
    """Returns what RapidJSON calls the type of a value."""
    if value is None or isinstance(value, bool):
        return "Null" if value is None else str(value)
    kinds: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def quoted(value: Any) -> str:
    """Returns a value as an error shows it."""
    text = ""
    # In pieces: the whole of a list in many lists would be indented to gigabytes.
    for piece in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        text += piece
        if len(text) > QUOTED:
            return text[:QUOTED] + "..."
    return text


def _shown(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _missing_comma(error: json.JSONDecodeError) -> str:
    if error.msg != "Expecting ',' delimiter":
        return "Invalid value."
    opened: list[str] = []
    for bracket in re.findall(
        r"[\[\]{}]", re.sub(r'"(?:\\.|[^"\\])*"', "", error.doc[: error.pos])
    ):
        if bracket in "[{":
            opened.append(bracket)
        else:
            opened.pop()
    if opened[-1] == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."
