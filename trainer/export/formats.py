"""What an export can be, for those who ask before TensorFlow is loaded."""

from importlib.util import find_spec

from trainer.system.errors import UsageError

FILES = {
    "saved_model": "saved_model/1",  # TensorFlow Serving takes the highest-numbered folder
    "keras": "model.keras",
    "litert_float32": "model_float32.tflite",
    "litert_float16": "model_float16.tflite",
    "litert_int8": "model_int8.tflite",
    "onnx": "model.onnx",
}
GROUPS = {"litert": [name for name in FILES if name.startswith("litert")]}
LOSSY = ("litert_float16", "litert_int8")  # their difference is stated, and no reason to refuse
NAMES = ("saved_model", "keras", "litert", "onnx", *GROUPS["litert"])
OPSET = 18  # of ONNX; ONNX 1.13 and later read it
NEEDED = {"litert": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime", "tf2onnx")}


def parse(text: str) -> list[str]:
    """Returns the formats that a list with commas names, each once.

    Raises:
      UsageError: there is no such format, or what it needs is not installed.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names or set(names) - set(NAMES):
        raise UsageError(f"--format={text} is not of {', '.join(NAMES)}, separated by commas.")
    for name in names:
        for module in NEEDED.get(name.partition("_")[0], ()):
            if find_spec(module) is None:
                raise UsageError(
                    f"--format={name} needs {module}: pip install 'radiograph-trainer[export]'."
                )
    return list(dict.fromkeys(part for name in names for part in GROUPS.get(name, [name])))
