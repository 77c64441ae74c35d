"""Distributed TensorFlow and Keras training of chest radiograph classifiers.

    import trainer

    trainer.prepare("chest_xray.zip", "DATA")
    config = trainer.default_config("resnet")
    config.data.path = "DATA"
    trainer.train_and_evaluate(config, "RUN")
    trainer.load("RUN").predict("FOLDER")

To import it does nothing: each name is loaded when it is first used, see `trainer.api`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.api import default_config, load, prepare, train_and_evaluate

__version__ = "0.1.0"
__all__ = ["default_config", "load", "prepare", "train_and_evaluate"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("trainer.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
