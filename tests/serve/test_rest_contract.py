"""Requests and errors are those of TensorFlow Serving.

Sentences and codes are of its sources: http_rest_api_util.cc, http_rest_api_handler.cc,
json_tensor.cc, get_model_status_impl.cc, server_core.cc, basic_manager.cc and http_server.cc.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
from typing import Any

import httpx
import numpy as np
import pytest
from etils import epath

from trainer.data.synthetic import phantom
from trainer.serve.application import Service

MODEL = "/v1/models/lungs"
PREDICT = f"{MODEL}:predict"
ROW = [[[0]] * 2] * 2  # a small image


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return [data for _, data in phantom.archive(2)]


def encoded(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def test_rows_answer_in_predictions_and_columns_in_outputs(
    client: httpx.Client, jpegs: list[bytes]
):
    bodies = [
        {"instances": [encoded(data) for data in jpegs]},
        {"instances": [{"image_bytes": encoded(data)} for data in jpegs]},
        {"inputs": [encoded(data) for data in jpegs]},
        {"inputs": {"image_bytes": [encoded(data) for data in jpegs]}},
    ]
    rows, named, columns, named_columns = [
        client.post(path, json=body | {"signature_name": "serving_default"}).json()
        for body, path in zip(bodies, [PREDICT, f"{MODEL}/versions/1:predict"] * 2, strict=True)
    ]
    assert rows == named and columns == named_columns
    assert len(rows["predictions"]) == 2
    assert set(rows["predictions"][0]) == {"probability", "calibrated", "decision", "label"}
    assert rows["predictions"][0]["label"] == ["PNEUMONIA"]
    for name, column in columns["outputs"].items():
        assert column == [row[name] for row in rows["predictions"]]


def test_signature_of_one_output_drops_its_name(client: httpx.Client, service: Service):
    fitted = np.zeros((2, 64, 64, 1), int).tolist()
    body = {"signature_name": "explain_fitted", "instances": fitted}
    evidence = client.post(PREDICT, json=body).json()["predictions"]
    assert np.shape(evidence)[:2] == (2, 1)


def test_status_and_metadata_have_the_shape_of_their_protobufs(client: httpx.Client):
    one = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in (MODEL, f"{MODEL}/versions/1", f"{MODEL}/VERSIONS/1"):
        assert client.get(path).json() == {"model_version_status": [one]}
    metadata = client.get(f"{MODEL}/metadata").json()
    assert metadata["model_spec"] == {"name": "lungs", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    taken = signature["inputs"]["image_bytes"]
    assert taken["dtype"] == "DT_STRING"
    assert taken["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


FITTED = {"signature_name": "fitted"}
# Method, path, body, code and the start of the error.
ERRORS = [
    # http_rest_api_util.cc and http_rest_api_handler.cc
    ("GET", "/v1/models", None, 400, "Missing model name in request."),
    ("GET", f"{MODEL}/nothing", None, 400, "Malformed request: GET /v1/models/lungs/nothing"),
    ("POST", MODEL, None, 400, "Malformed request: POST /v1/models/lungs"),
    ("PUT", PREDICT, None, 400, "Malformed request: PUT /v1/models/lungs:predict"),
    ("POST", f"{MODEL}/versions/x:predict", None, 400, "Malformed request: POST "),
    (
        *("POST", f"{MODEL}/versions/{2**64}:predict", {}, 400),
        f"Failed to convert version: {2**64} to numeric.",
    ),
    (
        *("POST", PREDICT, {"signature_name": "no", "instances": [1]}, 400),
        'Serving signature name: "no" not found in signature def',
    ),
    # get_model_status_impl.cc, server_core.cc and basic_manager.cc
    ("GET", "/v1/models/no", None, 404, "Could not find any versions of model no"),
    ("GET", f"{MODEL}/versions/3", None, 404, "Could not find version 3 of model lungs"),
    ("GET", "/v1/models/no/metadata", None, 404, "Servable not found for request: Latest(no)"),
    ("POST", "/v1/models/n%20o:predict", {}, 404, "Servable not found for request: Latest(n o)"),
    (
        *("POST", f"{MODEL}/versions/50:predict", {}, 404),
        "Servable not found for request: Specific(lungs, 50)",
    ),
    (
        *("POST", f"{MODEL}/labels/new:predict", {}, 400),
        "Unrecognized servable version label: new",
    ),
    # json_tensor.cc: the document
    ("POST", PREDICT, b"", 400, "JSON Parse error: The document is empty"),
    ("POST", PREDICT, b"instances = []", 400, "JSON Parse error: Invalid value. at offset: 0"),
    ("POST", PREDICT, b'{"a": 1 "b"}', 400, "JSON Parse error: Missing a comma or } after an "),
    ("POST", PREDICT, b'{"a": [1 2]}', 400, "JSON Parse error: Missing a comma or ] after an "),
    ("POST", PREDICT, b'{"a" 1}', 400, "JSON Parse error: Missing a colon after a name of "),
    ("POST", PREDICT, b"{1: 2}", 400, "JSON Parse error: Missing a name for object member."),
    ("POST", PREDICT, b"{} {}", 400, "JSON Parse error: The document root must not be followed"),
    ("POST", PREDICT, b'{"a', 400, "JSON Parse error: Missing a closing quotation mark in string."),
    ("POST", PREDICT, b"[" * 100_000, 400, "JSON Parse error: "),
    ("POST", PREDICT, b'{"a": "\xff"}', 400, "JSON Parse error: Invalid encoding in string."),
    ("POST", PREDICT, [], 400, "JSON Value: [] Is not object"),
    ("POST", PREDICT, {"signature_name": 100}, 400, 'JSON Value: {\n    "signature_name": 100\n}'),
    # json_tensor.cc: instances and inputs
    ("POST", PREDICT, {"x": 1}, 400, "Missing 'inputs' or 'instances' key"),
    ("POST", PREDICT, {"instances": 1}, 400, 'JSON Value: {\n    "instances": 1\n} Excepting '),
    ("POST", PREDICT, {"instances": []}, 400, 'JSON Value: {\n    "instances": []\n} No values in'),
    ("POST", PREDICT, {"instances": [1], "inputs": 1}, 400, "JSON Value: {"),
    (
        *("POST", PREDICT, {"instances": ["a", 1.5]}, 400),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: "
        "1.5 Type: Number is not of expected type: string",
    ),
    (
        *("POST", PREDICT, {"instances": ["a", {"image_bytes": "b"}]}, 400),
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        *("POST", PREDICT, {"instances": [{"image_bytes": "b"}, "a"]}, 400),
        "Expecting object but got list at item 1 of input list",
    ),
    (
        *("POST", PREDICT, {"instances": [{"other": "b"}]}, 400),
        "Failed to process element: 0 key: other of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON object: does not have named input: other",
    ),
    (
        *("POST", PREDICT, {"instances": [{}]}, 400),
        "Failed to process element: 0 of 'instances' list. JSON object: {} must only have keys: "
        "image_bytes",
    ),
    (
        *("POST", PREDICT, {"instances": [["a"], ["a", "b"]]}, 400),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
        "tensor size: 1 but got: 2",
    ),
    (
        *("POST", PREDICT, {"instances": [[["a"], ["b"]], [["a", "b"]]]}, 400),
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
        "shape [2,1] but got: [1,2]",
    ),
    (
        *("POST", PREDICT, {"inputs": {"other": ["a"]}}, 400),
        "Missing named input: image_bytes in 'inputs' object.",
    ),
    # json_tensor.cc: values
    ("POST", PREDICT, {"inputs": [{"b64": "!"}]}, 400, "Unable to base64 decode"),
    (
        *("POST", PREDICT, {"inputs": [{"b64": 1}]}, 400),
        'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [1, [2]]}, 400),
        "Encountered list at unexpected level: 1 expected < 1",
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [[1], 2]}, 400),
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [[1], [2, 3]]}, 400),
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [1, True]}, 400),
        'JSON Value: true Type: True is not of expected type: uint8',
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [1, None]}, 400),
        "JSON Value: null Type: Null is not of expected type: uint8",
    ),
    # classifier.cc and regressor.cc
    ("POST", f"{MODEL}:classify", {}, 400, "JSON Value: {} When method is classify, key 'exam"),
    (
        *("POST", f"{MODEL}:regress", {"examples": [{}]}, 400),
        "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
        "tensorflow/serving/predict",
    ),
    # where docs/serve.md says that it differs
    (
        *("POST", PREDICT, FITTED | {"inputs": [256]}, 400),
        "JSON Value: 256 Type: Number is not of expected type: uint8",
    ),
    (
        *("POST", PREDICT, FITTED | {"inputs": [ROW]}, 400),
        "Tensor name: fitted has shape [1, 2, 2, 1], and the signature takes [-1, 64, 64, 1]",
    ),
    ("POST", PREDICT, {"inputs": []}, 400, "Tensor name: image_bytes has shape [0]"),
    ("POST", PREDICT, {"inputs": ["GIF89a"]}, 400, "the file is neither a JPEG nor a PNG"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "start"), ERRORS, ids=[error[-1][:60] for error in ERRORS]
)
def test_error(client: httpx.Client, method: str, path: str, body: Any, code: int, start: str):
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    response = client.request(method, path, content=data)
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert (response.status_code, response.json()["error"][: len(start)]) == (code, start)


def test_bad_image_costs_its_own_request_alone(client: httpx.Client, jpegs: list[bytes]):
    one = client.post(PREDICT, json={"instances": [encoded(jpegs[0])]})
    bad = client.post(PREDICT, json={"instances": [encoded(jpegs[0]), encoded(jpegs[0][:500])]})
    assert one.status_code == 200 and bad.status_code == 400
    assert "{{node" not in bad.text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tensorflow_model_server") is None, reason="no such program here")
def test_tensorflow_serving_itself_answers_the_same(
    client: httpx.Client, lungs: epath.Path, jpegs: list[bytes]
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["tensorflow_model_server", "--port=0", f"--rest_api_port={port}"]
    command += ["--model_name=lungs", f"--model_base_path={lungs / 'saved_model'}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as other:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    other.get(MODEL).raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            body = {"instances": [encoded(data) for data in jpegs]}
            pairs = zip(
                *(each.post(PREDICT, json=body).json()["predictions"] for each in (client, other)),
                strict=True,
            )
            for ours, theirs in pairs:
                assert ours["label"] == theirs["label"]
                np.testing.assert_allclose(ours["probability"], theirs["probability"], atol=1e-6)
            for method, path, body, code, start in ERRORS[:40]:
                content = body if isinstance(body, bytes | None) else json.dumps(body)
                found = other.request(method, path, content=content)
                assert (found.status_code, found.json()["error"][: len(start)]) == (code, start)
    finally:
        process.kill()
        process.wait()
