"""TensorFlow Lite files, by TensorFlow's converter.

Full-integer int8 goes in two steps, which TensorFlow's own converter takes too: calibration, which runs the float
model on the samples and notes the range of every tensor, and quantization by those ranges. The second takes a tenth of
the time of both and can be told to leave operations in float, so `Int8Session` keeps the first step's result. Of a
model that was trained for quantization the ranges are known, and are noted in the float file without the first step:
the quantizer passes them on to what has the same step in and out (pooling, reshaping, concatenation).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError, unknown_name
from liteport.runtime.contents import read_contents
from liteport.terminal import muted, quiet_import

from .four_bit import LAYERS, four_bit
from .refusal import told_as_refusal
from .tflite_floats import require_integer
from .tflite_parts import put_together, take_apart
from .tflite_ranges import with_ranges
from .tracing import Traced

__all__ = ["Int8Session", "TFLiteOptions", "convert", "require_integer"]

Samples = Mapping[str, NDArray[Any]]
"""Model input by name, (N, ...) each, of the model's own dtypes."""

_WHO = "TensorFlow's converter"


@dataclass(frozen=True)
class TFLiteOptions:
    """How to convert.

    Attributes:
        weights: The type that large weights are stored in; int4 with int8 activations alone. With float16, activations
            are computed in it too where the processor has such arithmetic.
        activations: The type that activations are computed in. Integers need calibration data, and the file's floating
            inputs and outputs are then of the same integer type. Integer inputs (token ids) stay as they are.
        float_io: With integer activations: inputs and outputs stay float32, and the file converts them itself.
        dense_per_channel: Whether a dense layer's int8 weights have a scale per output rather than one for all. With
            dynamic range, the former need a newer runtime than tflite-runtime 2.14.
        pack_dense: With int4 weights: whether those of dense layers take half a byte each. The kernel of TensorFlow
            Lite for Microcontrollers takes such with one scale for all outputs only; else they are in int8.
    """

    weights: Literal["float32", "float16", "int8", "int4"] = "float32"
    activations: Literal["float32", "int8", "int16"] = "float32"
    float_io: bool = False
    dense_per_channel: bool = True
    pack_dense: bool = True


def convert(traced: Traced, samples: Samples | None, options: TFLiteOptions, keep_float: Sequence[str] = ()) -> bytes:
    """Converts a traced model.

    Args:
        traced: The model.
        samples: Calibration data; needed for integer activations whose ranges were not learned.
        options: How.
        keep_float: Selective quantization, for int8 activations: names of tensors in the float32 file of the same
            traced model, whose operations stay in float.

    Returns:
        The `.tflite` file.

    Raises:
        ConversionError: If TensorFlow's converter refuses; the message names the operation and the layer if it can.
        InvalidInputError: If `keep_float` has a name that no operation gives, or is given for another scheme.
    """
    if options.activations == "int8" or options.weights == "int4":
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
    return _half_precision_allowed(content) if options.weights == "float16" else content


def _half_precision_allowed(content: bytes) -> bytes:
    """Lets XNNPACK compute in half precision where the processor can, as it does only with the file's leave.

    The entry and what may stand in it are TensorFlow's (`tensorflow/lite/tools/optimize/reduced_precision_support.h`):
    arithmetic, and what sums are kept in.
    """
    parts = take_apart(content)
    return put_together(replace(parts, metadata={**parts.metadata, "reduced_precision_support": b"fp16accfp16"}))


class Int8Session:
    """A model whose activations have ranges, to be quantized as often as need be."""

    def __init__(self, traced: Traced, samples: Samples | None, options: TFLiteOptions) -> None:
        """Runs the float model on the samples, where its ranges were not learned.

        Args:
            traced: The model.
            samples: Calibration data; of no use where ranges were learned.
            options: How; `activations` must be int8, and weights int8 or int4.

        Raises:
            ConversionError: If there are no samples, TensorFlow's converter refuses, or weights of a model that was
                trained for 8 bits are to have 4.
            InvalidInputError: If `options` ask for something else.
        """
        if options.weights not in ("int8", "int4") or options.activations != "int8":
            raise InvalidInputError(f"options are {options}; expected int8 or int4 weights and int8 activations")
        learned = traced.learned
        if learned is not None and options.weights == "int4" and not learned.low_bits:
            raise ConversionError(
                "the model was trained for 8-bit weights; quantize_aware(weight_bits=4) is for 4 bits"
            )
        self._options = options
        self._trained = learned is not None
        self._four_bit = options.weights == "int4" or (learned is not None and learned.low_bits)
        self._packed = LAYERS if options.pack_dense else LAYERS - {"FULLY_CONNECTED"}
        if learned is None:
            self._calibrated = _calibrated(traced, samples, options)
        else:
            content = convert(traced, None, TFLiteOptions())
            self._calibrated = with_ranges(content, learned.of_values(content, ".tflite"))
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
            ConversionError: If TensorFlow's quantizer refuses, or no layer can have the 4-bit weights that are wished.
            InvalidInputError: If no operation gives a tensor of such a name.
        """
        for name in keep_float:
            if name not in self.tensors:
                raise unknown_name("tensor to keep in float", name, self.tensors)
        tf = quiet_import("tensorflow", "export")
        edge = tf.float32 if self._options.float_io else tf.int8
        quantize = quiet_import("tensorflow.lite.python.convert", "export").mlir_quantize
        with told_as_refusal(_WHO, *_refusals()), muted():
            content: bytes = quantize(
                self._calibrated,
                input_data_type=edge,
                output_data_type=edge,
                denylisted_nodes=list(keep_float),
                disable_per_channel_for_dense_layers=not self._options.dense_per_channel,
            )
        if self._four_bit:
            packed = self._packed if self._options.weights == "int4" else ()
            whole, content = content, four_bit(content, trained=self._trained, packed=packed)
            if content == whole and not keep_float:
                raise ConversionError("the model has no convolution or dense layer that can have 4-bit weights")
        return content


def _calibrated(traced: Traced, samples: Samples | None, options: TFLiteOptions) -> bytes:
    tf = quiet_import("tensorflow", "export")
    converter = _converter(tf, traced, options)
    converter.representative_dataset = _batches(traced, samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_calibrate_only = True
    with told_as_refusal(_WHO, *_refusals()), muted():
        content: bytes = converter.convert()
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
