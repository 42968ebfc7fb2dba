"""Runs exported models without TensorFlow: `load` a bundle or a file, then `predict`, `classify` or `run`."""

from .backends import BackendInfo
from .bundle import Bundle, read_bundle
from .card import Preprocessing, TensorSpec
from .errors import (
    BackendError,
    IntegrityError,
    InvalidInputError,
    LiteportError,
    MissingDependencyError,
    NotFoundError,
    SignatureError,
)
from .loading import load
from .manifest import Manifest, Variant
from .model import Model, Prediction

__all__ = [
    "BackendError",
    "BackendInfo",
    "Bundle",
    "IntegrityError",
    "InvalidInputError",
    "LiteportError",
    "Manifest",
    "MissingDependencyError",
    "Model",
    "NotFoundError",
    "Prediction",
    "Preprocessing",
    "SignatureError",
    "TensorSpec",
    "Variant",
    "load",
    "read_bundle",
]
