"""TensorFlow Lite files, by TensorFlow's converter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, require
from liteport.terminal import muted, quiet_import

from .refusal import told_as_refusal
from .source import Traced


@dataclass(frozen=True)
class TFLiteOptions:
    """How to convert.

    Attributes:
        weights: The type that large weights are stored in.
        activations: The type that activations are computed in. Integers need calibration data, and the file's input
            and output are then of the same integer type.
    """

    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "int8", "int16"] = "float32"


def convert(traced: Traced, samples: NDArray[np.float32] | None, options: TFLiteOptions) -> bytes:
    """Converts a traced model.

    Args:
        traced: The model.
        samples: Calibration data, model input (N, H, W, C); needed for integer activations.
        options: How.

    Returns:
        The `.tflite` file.

    Raises:
        ConversionError: If TensorFlow's converter refuses; the message has its first line that says why.
    """
    tf = quiet_import("tensorflow", "export")
    with muted():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(traced.saved_model))
    if options.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if options.activations != "float32":
        if samples is None:
            raise ConversionError(f"{options.activations} activations need calibration data")
        _full_integer(converter, tf, samples, options.activations)
    # The converter has an error of its own; its calibrator raises RuntimeError and ValueError.
    own = quiet_import("tensorflow.lite.python.convert_phase", "export").ConverterError
    with told_as_refusal("TensorFlow's converter", own, RuntimeError, ValueError), muted():
        content: bytes = converter.convert()
    return content


def _full_integer(converter: Any, tf: Any, samples: NDArray[np.float32], activations: str) -> None:
    def representative_dataset() -> Iterator[dict[str, NDArray[np.float32]]]:
        for sample in samples:
            yield {"input": sample[None]}

    sets = tf.lite.OpsSet
    converter.representative_dataset = representative_dataset
    converter.target_spec.supported_ops = [
        sets.TFLITE_BUILTINS_INT8
        if activations == "int8"
        else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, activations)


def floating_tensors(content: bytes) -> list[str]:
    """Returns the names of a file's tensors that are of a floating type."""
    interpreter = require("ai_edge_litert.interpreter", "export").Interpreter(model_content=content)
    return [
        detail["name"] for detail in interpreter.get_tensor_details() if np.issubdtype(detail["dtype"], np.floating)
    ]
