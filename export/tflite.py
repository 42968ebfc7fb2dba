"""TensorFlow Lite files, by TensorFlow's converter.

Full-integer int8 goes in two steps, which TensorFlow's own converter takes too: calibration, which runs the float
model on the samples and notes the range of every tensor, and quantization by those ranges. The second takes a tenth of
the time of both and can be told to leave operations in float, so `Int8Session` keeps the first step's result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError, require, unknown_name
from liteport.runtime.contents import read_contents
from liteport.terminal import muted, quiet_import

from .refusal import placed, told_as_refusal
from .tracing import Traced

Samples = Mapping[str, NDArray[Any]]
"""Model input by name, (N, ...) each, of the model's own dtypes."""

_WHO = "TensorFlow's converter"
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_FLOATING = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class TFLiteOptions:
    """How to convert.

    Attributes:
        weights: The type that large weights are stored in.
        activations: The type that activations are computed in. Integers need calibration data, and the file's floating
            inputs and outputs are then of the same integer type. Integer inputs (token ids) stay as they are.
        float_io: With integer activations: inputs and outputs stay float32, and the file converts them itself.
        dense_per_channel: Whether a dense layer's int8 weights have a scale per output rather than one for all. With
            dynamic range, the former need a newer runtime than tflite-runtime 2.14.
    """

    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "int8", "int16"] = "float32"
    float_io: bool = False
    dense_per_channel: bool = True


def convert(traced: Traced, samples: Samples | None, options: TFLiteOptions, keep_float: Sequence[str] = ()) -> bytes:
    """Converts a traced model.

    Args:
        traced: The model.
        samples: Calibration data; needed for integer activations.
        options: How.
        keep_float: Selective quantization, for int8 activations: names of tensors in the float32 file of the same
            traced model, whose operations stay in float.

    Returns:
        The `.tflite` file.

    Raises:
        ConversionError: If TensorFlow's converter refuses; the message names the operation and the layer if it can.
        InvalidInputError: If `keep_float` has a name that no operation gives, or is given for another scheme.
    """
    if options.activations == "int8":
        return Int8Session(traced, samples, options).quantize(keep_float)
    if keep_float:
        raise InvalidInputError(
            f"keep_float is {list(keep_float)}; expected none: only int8 activations can be mixed with float"
        )
    tf = quiet_import("tensorflow", "export")
    converter = _converter(tf, traced, options)
    if options.activations == "int16":
        _set_int16(tf, converter, traced, samples, options)
    with told_as_refusal(_WHO, *_refusals(), locate=lambda kind: _outputs_of(kind, traced)), muted():
        content: bytes = converter.convert()
    return content


class Int8Session:
    """A model calibrated once, to be quantized to int8 as often as need be."""

    def __init__(self, traced: Traced, samples: Samples | None, options: TFLiteOptions) -> None:
        """Runs the float model on the samples.

        Args:
            traced: The model.
            samples: Calibration data.
            options: How; `activations` must be int8.

        Raises:
            ConversionError: If there are no samples, or TensorFlow's converter refuses.
            InvalidInputError: If `options` ask for something else than int8.
        """
        if (options.weights, options.activations) != ("int8", "int8"):
            raise InvalidInputError(f"options are {options}; expected int8 weights and activations")
        tf = quiet_import("tensorflow", "export")
        self._options = options
        self._edge = tf.float32 if options.float_io else tf.int8
        converter = _converter(tf, traced, options)
        converter.representative_dataset = _batches(traced, samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter._experimental_calibrate_only = True
        with told_as_refusal(_WHO, *_refusals()), muted():
            self._calibrated: bytes = converter.convert()
        contents = read_contents(self._calibrated, ".tflite")
        self.tensors: tuple[str, ...] = tuple(contents.tensors[i].name for op in contents.ops for i in op.outputs)

    def quantize(self, keep_float: Sequence[str] = ()) -> bytes:
        """Quantizes all operations but some.

        Args:
            keep_float: Names of tensors whose operations stay in float; each among `tensors`, which are named as in
                the float32 file of the same traced model. Their weights stay float32 too, and conversions are put
                around them: a value itself is only float where what makes it and what takes it both are.

        Returns:
            The `.tflite` file.

        Raises:
            ConversionError: If TensorFlow's quantizer refuses.
            InvalidInputError: If no operation gives a tensor of such a name.
        """
        for name in keep_float:
            if name not in self.tensors:
                raise unknown_name("tensor to keep in float", name, self.tensors)
        quantize = quiet_import("tensorflow.lite.python.convert", "export").mlir_quantize
        with told_as_refusal(_WHO, *_refusals()), muted():
            content: bytes = quantize(
                self._calibrated,
                input_data_type=self._edge,
                output_data_type=self._edge,
                denylisted_nodes=list(keep_float),
                disable_per_channel_for_dense_layers=not self._options.dense_per_channel,
            )
        return content


def _converter(tf: Any, traced: Traced, options: TFLiteOptions) -> Any:
    with muted():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(traced.saved_model))
    if options.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not options.dense_per_channel
    return converter


def _set_int16(tf: Any, converter: Any, traced: Traced, samples: Samples | None, options: TFLiteOptions) -> None:
    for spec in traced.inputs:
        if not np.issubdtype(spec.dtype, np.floating):  # its calibrator expects a range of every input
            raise ConversionError(f"{_WHO} needs floating inputs for int16 activations; {spec.name!r} is {spec.dtype}")
    converter.representative_dataset = _batches(traced, samples)
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    if not options.float_io:
        converter.inference_input_type = converter.inference_output_type = tf.int16
    # int16 is always quantized by the older of two quantizers; with the newer one left on, which does nothing here,
    # the samples would be run twice.
    converter.experimental_new_quantizer = False


def _batches(traced: Traced, samples: Samples | None) -> Any:
    """What the converter calibrates on: a function that gives one batch after the other.

    A batch has one sample, or as many as the model's fixed batch; the last one is filled up from the beginning.
    """
    if samples is None:
        raise ConversionError("integer activations need calibration data")
    given = samples
    size = traced.inputs[0].shape[0] or 1

    def representative_dataset() -> Iterator[dict[str, NDArray[Any]]]:
        for start in range(0, len(given[traced.inputs[0].name]), size):
            indices = range(start, start + size)
            yield {spec.name: given[spec.name].take(indices, axis=0, mode="wrap") for spec in traced.inputs}

    return representative_dataset


def _refusals() -> tuple[type[Exception], ...]:
    """What TensorFlow's converter raises: an error of its own, and its calibrator RuntimeError and ValueError."""
    return quiet_import("tensorflow.lite.python.convert_phase", "export").ConverterError, RuntimeError, ValueError


def _outputs_of(kind: str, traced: Traced) -> list[str]:
    """Returns the names of what operations of a kind give in the float32 file."""
    contents = read_contents(convert(traced, None, TFLiteOptions()), ".tflite")
    return [contents.tensors[op.outputs[0]].name for op in contents.ops if op.kind == kind]


def require_integer(content: bytes, *, edges: bool = False) -> None:
    """Checks that a TFLite file computes in integers alone.

    Args:
        content: The file.
        edges: Whether its inputs and outputs may be floating all the same, where it converts them itself.

    Raises:
        ConversionError: If floating tensors are left; the message names what uses them and the layers.
    """
    floating = floating_tensors(content, edges=edges)
    if floating:
        users = floating_ops(content) or [f"tensor {name!r}" for name in floating]
        left = "1 tensor is" if len(floating) == 1 else f"{len(floating)} tensors are"
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        raise ConversionError(f"{_WHO} has no integer form of {'; '.join(users[:3])}{more}: {left} left in float")


def floating_tensors(content: bytes, *, edges: bool = False) -> list[str]:
    """Returns the names of a TFLite file's tensors that are of a floating type, in all of its graphs.

    Args:
        content: The file.
        edges: Leave out inputs that are only quantized, and outputs that are only dequantized.
    """
    contents = read_contents(content, ".tflite")
    floating = {index for index, tensor in enumerate(contents.tensors) if tensor.dtype in _FLOATING}
    if edges:
        computed = {index for op in contents.ops if op.kind not in _CONVERSIONS for index in (*op.inputs, *op.outputs)}
        floating -= {*contents.inputs, *contents.outputs} - computed
    interpreter = require("ai_edge_litert.interpreter", "export").Interpreter(model_content=content)
    branches = [
        detail["name"]
        for graph in range(1, interpreter.num_subgraphs())
        for detail in interpreter.get_tensor_details(graph)
        if np.issubdtype(detail["dtype"], np.floating)
    ]
    return [contents.tensors[index].name for index in sorted(floating)] + branches


def floating_ops(content: bytes) -> list[str]:
    """Returns which operations of a TFLite file's main graph take or give floating values: "NEG in layer 'norm'".

    Conversions (QUANTIZE, DEQUANTIZE) are left out: they are there for the others' sake.
    """
    contents = read_contents(content, ".tflite")
    tensors = contents.tensors
    return [
        placed(op.kind, [tensors[index].name for index in op.outputs])
        for op in contents.ops
        if op.kind not in _CONVERSIONS
        and any(index >= 0 and tensors[index].dtype in _FLOATING for index in (*op.inputs, *op.outputs))
    ]
