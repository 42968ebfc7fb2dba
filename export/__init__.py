"""Exports Keras models to TensorFlow Lite and ONNX variants, each verified against its source."""

from liteport.errors import (
    AlreadyExistsError,
    ConversionError,
    InvalidInputError,
    LiteportError,
    NotFoundError,
    VerificationError,
)

from .exporter import export
from .formats import FORMATS, Format
from .onnx import OnnxOptions
from .tflite import TFLiteOptions

__all__ = [
    "FORMATS",
    "AlreadyExistsError",
    "ConversionError",
    "Format",
    "InvalidInputError",
    "LiteportError",
    "NotFoundError",
    "OnnxOptions",
    "TFLiteOptions",
    "VerificationError",
    "export",
]
