"""Trains small image classifiers: data, designs, a recipe that reaches its accuracy in few epochs, plots.

`load_dataset` needs no TensorFlow; the names that do bring it in are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from liteport.errors import LiteportError
from liteport.terminal import quiet_import

from .arrays import Split
from .config import NO_AUGMENTATION, RECIPES, AtMost, Augmentation, TrainConfig
from .datasets import Dataset, load_dataset

if TYPE_CHECKING:
    from .designs import DESIGNS, build_model
    from .fitting import Run, fit, resume
    from .qat import quantize_aware
    from .replicas import Replicas, connect
    from .weights import load_weights

__all__ = [
    "DESIGNS",
    "NO_AUGMENTATION",
    "RECIPES",
    "AtMost",
    "Augmentation",
    "Dataset",
    "LiteportError",
    "Replicas",
    "Run",
    "Split",
    "TrainConfig",
    "build_model",
    "connect",
    "fit",
    "load_dataset",
    "load_weights",
    "quantize_aware",
    "resume",
]

_NEEDS_TENSORFLOW = {
    "DESIGNS": "designs",
    "build_model": "designs",
    "Run": "fitting",
    "fit": "fitting",
    "resume": "fitting",
    "load_weights": "weights",
    "quantize_aware": "qat",
    "Replicas": "replicas",
    "connect": "replicas",
}


def __getattr__(name: str) -> object:
    if name not in _NEEDS_TENSORFLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    quiet_import("tensorflow", "train")
    return getattr(import_module(f".{_NEEDS_TENSORFLOW[name]}", __name__), name)
