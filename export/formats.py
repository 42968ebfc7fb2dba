"""Every format that a model can be exported to: one row each.

A variant's id names engine and scheme: `tflite-int8` is a TensorFlow Lite file in full-integer quantization.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, unknown_name

from . import onnx, tflite
from .onnx import OnnxOptions
from .source import Traced
from .tflite import TFLiteOptions
from .verify import FLOAT16, FLOAT32, INT8, INT16, Tolerance

Converter = Callable[[Traced, NDArray[np.float32] | None], bytes]


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes:
        id: Engine and scheme.
        scheme: The scheme in words.
        suffix: The file's ending, which also says which engine runs it.
        convert: Makes the file's content from the traced model and the calibration data.
        tolerance: How far its answers may be from the Keras model's.
        calibrated: Whether it needs calibration data.
        integer_only: Whether no floating tensor may be left in the file.
    """

    id: str
    scheme: str
    suffix: str
    convert: Converter
    tolerance: Tolerance
    calibrated: bool = False
    integer_only: bool = False


def _tflite(options: TFLiteOptions) -> Converter:
    return partial(tflite.convert, options=options)


def _onnx(options: OnnxOptions) -> Converter:
    return partial(onnx.convert, options=options)


FORMATS = {
    row.id: row
    for row in (
        Format("tflite-float32", "float32", ".tflite", _tflite(TFLiteOptions()), FLOAT32),
        # Half the size. Computes in float32 where the CPU has no half-precision arithmetic.
        Format("tflite-float16", "float16 weights", ".tflite", _tflite(TFLiteOptions(weights="float16")), FLOAT16),
        # Activations are quantized anew at each call, by their own range: no calibration data needed.
        Format(
            "tflite-dynamic",
            "dynamic range: int8 weights, float activations",
            ".tflite",
            _tflite(TFLiteOptions(weights="int8")),
            INT8,
        ),
        # What a microcontroller or an NPU takes.
        Format(
            "tflite-int8",
            "full integer: int8 weights and activations, int8 in and out",
            ".tflite",
            _tflite(TFLiteOptions(weights="int8", activations="int8")),
            INT8,
            calibrated=True,
            integer_only=True,
        ),
        # Runs on reference kernels on CPUs, which are slow: for accelerators, or where int8 loses too much.
        Format(
            "tflite-int16x8",
            "full integer: int16 activations, int8 weights; slow on CPUs",
            ".tflite",
            _tflite(TFLiteOptions(weights="int8", activations="int16")),
            INT16,
            calibrated=True,
            integer_only=True,
        ),
        Format("onnx-float32", "float32", ".onnx", _onnx(OnnxOptions()), FLOAT32),
        Format("onnx-float16", "float16", ".onnx", _onnx(OnnxOptions(scheme="float16")), FLOAT16),
        Format(
            "onnx-int8",
            "static QDQ: int8 weights per channel, uint8 activations",
            ".onnx",
            _onnx(OnnxOptions(scheme="int8")),
            INT8,
            calibrated=True,
        ),
    )
}


def choose_formats(wanted: str | Iterable[str]) -> list[Format]:
    """Looks formats up.

    Args:
        wanted: "all", one id or several.

    Returns:
        The rows in the table's order, each once.

    Raises:
        InvalidInputError: If an id is unknown (the message names the closest) or none is given.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name != "all" and name not in FORMATS:
            raise unknown_name("format", name, ["all", *FORMATS])
    if not names:
        raise InvalidInputError(f"no format given; expected all or some of: {', '.join(FORMATS)}")
    return [row for row in FORMATS.values() if "all" in names or row.id in names]
