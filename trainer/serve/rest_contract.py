"""TensorFlow Serving's REST interface: `/v1/models/NAME[/versions/N]` and what follows it.

Paths, order of checks and sentences are those of its http_rest_api_util.cc,
http_rest_api_handler.cc and get_model_status_impl.cc; `tests/serve/test_rest_contract.py` has a
table of them.
"""

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from trainer.serve import tensor_json
from trainer.serve.batching import Batcher
from trainer.serve.network import VERSION, Network
from trainer.serve.refusal import invalid, not_found

_MODEL = (
    r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
)
PREDICTION = re.compile(_MODEL + r":(?P<method>classify|regress|predict)", re.IGNORECASE | re.ASCII)
STATUS = re.compile(_MODEL + r"(?:/(?P<metadata>metadata))?", re.IGNORECASE | re.ASCII)
LARGEST_VERSION = 2**63 - 1
KINDS = {"classify": "classification", "regress": "regression"}


@dataclass(frozen=True)
class _Model:
    """The model that a path names."""

    name: str
    version: int | None
    label: str

    def __str__(self) -> str:
        """As TensorFlow Serving's logs and errors show a request."""
        if self.version is None:
            return f"Latest({self.name})"
        return f"Specific({self.name}, {self.version})"


@dataclass(frozen=True)
class RestContract:
    """Answers requests for one model of one version.

    Attributes:
      name: of the model.
      network: that answers.
      batcher: through which it does.
    """

    name: str
    network: Network
    batcher: Batcher

    async def answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Returns the answer to a request as JSON.

        Args:
          method: of HTTP.
          path: as it was sent, not decoded.
          body: of the request.

        Raises:
          Refusal: with the sentence and the status of TensorFlow Serving.
        """
        pattern = {"POST": PREDICTION, "GET": STATUS}.get(method)
        found = pattern and pattern.fullmatch(path)
        if not found or (method == "POST" and not found["name"]):
            raise invalid(f"Malformed request: {method} {path}")
        model = _model(found)
        if method == "GET":
            return self._metadata(model) if found["metadata"] else self._status(model)
        document = tensor_json.parse(body)
        signature = tensor_json.signature_name(document)
        if found["method"] != "predict":
            self._refuse_method(found["method"].lower(), document, model, signature)
        self._check(model)
        rows, inputs = tensor_json.read_tensors(document, self.network.types(signature))
        self.network.check(signature, inputs)
        return tensor_json.answer(await self.batcher.submit(signature, inputs), rows)

    def _status(self, model: _Model) -> dict[str, Any]:
        if not model.name:
            raise invalid("Missing model name in request.")
        self._check_label(model)
        if model.version not in (None, int(VERSION)):
            raise not_found(f"Could not find version {model.version} of model {model.name}")
        if model.name != self.name:
            raise not_found(
                f"Could not find any versions of model {model.name}"
                if model.version is None
                else f"Could not find version {model.version} of model {model.name}"
            )
        status = {"error_code": "OK", "error_message": ""}
        found = {"version": VERSION, "state": "AVAILABLE", "status": status}
        return {"model_version_status": [found]}

    def _metadata(self, model: _Model) -> dict[str, Any]:
        if not model.name:
            raise invalid("Missing model name in request.")
        self._check(model)
        return {
            "model_spec": {"name": self.name, "signature_name": "", "version": VERSION},
            "metadata": {"signature_def": {"signature_def": self.network.metadata}},
        }

    def _refuse_method(
        self, method: str, document: dict[str, Any], model: _Model, signature: str
    ) -> None:
        """Raises the Refusal of a method that no signature of an export is for."""
        examples = document.get("examples")
        quoted = tensor_json.quoted(document)
        if "examples" not in document:
            raise invalid(
                f"JSON Value: {quoted} When method is classify, key 'examples' is expected and was "
                "not found"
            )
        if not isinstance(examples, list):
            raise invalid(f"JSON Value: {quoted} Expecting 'examples' value to be an list/array")
        if not examples:
            raise invalid(f"JSON Value: {quoted} 'examples' value is an empty array")
        self._check(model)
        self.network.types(signature)
        raise invalid(
            f"Expected {KINDS[method]} signature method_name to be tensorflow/serving/{method}. "
            "Was: tensorflow/serving/predict"
        )

    def _check(self, model: _Model) -> None:
        self._check_label(model)
        if model.name != self.name or model.version not in (None, int(VERSION)):
            raise not_found(f"Servable not found for request: {model}")

    def _check_label(self, model: _Model) -> None:
        if model.label:
            raise invalid(f"Unrecognized servable version label: {model.label}")


def _model(found: re.Match) -> _Model:
    version = found["version"]
    if version and int(version) > LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {version} to numeric.")
    name, label = (urllib.parse.unquote(found[part] or "") for part in ("name", "label"))
    return _Model(name, int(version) if version else None, label)
