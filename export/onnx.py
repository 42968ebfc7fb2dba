"""ONNX files, by tf2onnx and onnxruntime's quantizer."""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, require
from liteport.runtime.backends.onnxruntime import session_errors
from liteport.terminal import muted, quiet_import

from .onnx_graph import tidy
from .refusal import told_as_refusal
from .source import Traced


@dataclass(frozen=True)
class OnnxOptions:
    """How to convert.

    Attributes:
        scheme: "float32"; "float16" (weights and arithmetic; input and output stay float32); or "int8": static
            quantization with QDQ nodes, weights per channel and symmetric, activations unsigned and asymmetric.
        opset: The version of ONNX's operator set.
    """

    scheme: Literal["float32", "float16", "int8"] = "float32"
    opset: int = 17


def convert(traced: Traced, samples: NDArray[np.float32] | None, options: OnnxOptions) -> bytes:
    """Converts a traced model.

    Args:
        traced: The model.
        samples: Calibration data, model input (N, H, W, C); needed for int8.
        options: How.

    Returns:
        The `.onnx` file.

    Raises:
        ConversionError: If tf2onnx, ONNX's checker or the quantizer refuses.
    """
    onnx = require("onnx", "export")
    model = _from_tensorflow(traced, options.opset)
    with told_as_refusal("ONNX's checker", onnx.checker.ValidationError):
        onnx.checker.check_model(model, full_check=True)  # an operation that tf2onnx left behind is found here
    model = tidy(model)
    if options.scheme == "float16":
        float16 = require("onnxruntime.transformers.float16", "export")
        model = float16.convert_float_to_float16(model, keep_io_types=True)
        # The casts at the edges are appended last, while ONNX asks for nodes in the order in which they run.
        require("onnxruntime.transformers.onnx_model", "export").OnnxModel(model).topological_sort()
    if options.scheme == "int8":
        if samples is None:
            raise ConversionError("int8 activations need calibration data")
        model = _quantized(model, samples)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _from_tensorflow(traced: Traced, opset: int) -> Any:
    tf = quiet_import("tensorflow", "export")
    tf2onnx = quiet_import("tf2onnx", "export")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec(traced.input_shape, tf.float32, name="input")]
    with told_as_refusal("tf2onnx", ValueError, RuntimeError, NotImplementedError, KeyError), muted():
        model, _ = tf2onnx.convert.from_function(traced.function, input_signature=signature, opset=opset)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def _quantized(model: Any, samples: NDArray[np.float32]) -> Any:
    onnx = require("onnx", "export")
    quantization = quiet_import("onnxruntime.quantization", "export")
    preparation = require("onnxruntime.quantization.shape_inference", "export")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        """Feeds the calibration data one sample at a time."""

        def __init__(self) -> None:
            self._feeds: Iterator[dict[str, NDArray[np.float32]]] = ({"input": sample[None]} for sample in samples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    # The quantizer works on files. Symbolic shape inference would need sympy and finds nothing more in these graphs.
    with tempfile.TemporaryDirectory(prefix="liteport-") as folder, muted():
        paths = [str(Path(folder) / name) for name in ("float.onnx", "prepared.onnx", "quantized.onnx")]
        onnx.save(model, paths[0])
        with told_as_refusal("onnxruntime's quantizer", *session_errors(require("onnxruntime", "export")), TypeError):
            preparation.quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
            quantization.quantize_static(
                paths[1],
                paths[2],
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                # Unsigned activations ran faster than signed ones on x86 with VNNI, whose instruction takes them.
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        return onnx.load(paths[2])
