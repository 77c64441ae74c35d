"""The network of an export, in this process."""

import io
import re
from collections.abc import Hashable, Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from trainer.data.decode import limits
from trainer.export.exported import Exported
from trainer.export.metadata import input_names
from trainer.serve.refusal import Refusal, invalid

RADIOGRAPHS = "radiographs"  # what rows are for that have been decoded here
VERSION = "1"
SIZE, FILES = "size", "image_bytes"
ASSERTION = re.compile(r"assertion failed: \[b?'?(.*?)'?\]")
Arrays = Mapping[str, np.ndarray]


class Network:
    """The signatures of an export's SavedModel, and its gate.

    Args:
      exported: the export.

    Attributes:
      exported: the export.
      squares: names of the inputs that take fitted images, in the order of the export's fits.
      metadata: the signatures as TensorFlow Serving shows them.
    """

    def __init__(self, exported: Exported):
        self.exported = exported
        folder = exported.saved_model
        self._model = tf.saved_model.load(str(folder))  # which keeps its variables
        self._signatures = self._model.signatures
        self.squares = input_names(len(exported.metadata["fits"]))
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.metadata: dict[str, Any] = {
            name: json_format.MessageToDict(
                signature,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, signature in saved.meta_graphs[0].signature_def.items()
        }

    def types(self, signature: str) -> dict[str, np.dtype]:
        """Returns the types of a signature's inputs; bytes are objects.

        Raises:
          Refusal: 400, there is none of that name.
        """
        if signature not in self._signatures:
            raise invalid(f'Serving signature name: "{signature}" not found in signature def')
        return {n: np.dtype(s.dtype.as_numpy_dtype) for n, s in self._specs(signature).items()}

    def check(self, signature: str, inputs: Arrays) -> None:
        """Raises a Refusal unless a signature takes tensors of these shapes."""
        rows = {len(value) if value.ndim else 0 for value in inputs.values()}
        for name, spec in self._specs(signature).items():
            shape = inputs[name].shape
            if not spec.shape.is_compatible_with(shape) or len(rows) > 1 or not min(rows):
                takes = [side if side else -1 for side in spec.shape]
                raise invalid(
                    f"Tensor name: {name} has shape {list(shape)}, and the signature takes {takes} "
                    "with one row at least."
                )
        for data in inputs.get(FILES, ()):
            _check_pixels(data)

    def run(self, purpose: Hashable, inputs: Arrays) -> dict[str, np.ndarray]:
        """Returns what a signature answers, or with `RADIOGRAPHS` that and what the gate finds.

        Args:
          purpose: name of the signature, or `RADIOGRAPHS`.
          inputs: its inputs by name; of `RADIOGRAPHS` `SIZE`, too: [n, 2], (width, height).

        Raises:
          Refusal: 400, the graph refuses them.
        """
        if purpose != RADIOGRAPHS:
            return self._call(str(purpose), inputs)
        images = {name: inputs[name] for name in self.squares}
        answer = self._call("features", images)
        features = answer["features"]
        finding = np.full(len(features), None, object)
        if self.exported.gate:
            first, sizes = images[self.squares[0]], [tuple(size) for size in inputs[SIZE].tolist()]
            finding[:] = [
                found and found._asdict()
                for found in self.exported.gate.findings(first, features, sizes)
            ]
        return answer | {"finding": finding}

    def _call(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        try:
            found = self._signatures[signature](**tensors)
        except tf.errors.OpError as error:
            if not isinstance(error, tf.errors.InvalidArgumentError):
                raise
            stated = ASSERTION.search(error.message)
            raise invalid(stated[1] if stated else error.message.split("\n")[0]) from error
        return {name: value.numpy() for name, value in found.items()}

    def _specs(self, signature: str) -> dict[str, tf.TensorSpec]:
        return self._signatures[signature].structured_input_signature[1]


def _check_pixels(data: bytes) -> None:
    """Raises a Refusal of a file that is too large to decode, by what it says of itself."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width = height = limits.MOST_PIXELS
    except Exception:  # the graph says what is wrong; Pillow raises nearly everything
        return
    if width * height > limits.MOST_PIXELS:
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The image has more than {limits.MOST_PIXELS // 10**6} million pixels.",
        )
