"""TensorFlow Lite files with 4-bit weights, by LiteRT's quantizer. Experimental.

The form is dynamic range: dense layers have 4-bit weights and a scale per output, convolutions and other layers with
weights have 8-bit ones, and activations are float32 in the file and quantized to 8 bits at run time, by their own
range. It needs no calibration data. Other forms were tried on x86 with LiteRT 2.3, and do not stand up to it:

- 4-bit convolutions have no fast kernel: they took three times as long as 8-bit ones.
- Weight-only files compute in float32 and took ten times as long.
- Activations quantized beforehand were hardly faster and lost more.
- A scale for each 32 weights instead of each output made files larger by a tenth, lost a little less, and LiteRT 1.4
  ran them without a word and answered nonsense.
"""

import re
from collections.abc import Sequence
from typing import Any

from liteport.errors import ConversionError, require, unknown_name
from liteport.runtime.contents import Contents, read_contents
from liteport.terminal import muted, quiet_import

from .refusal import told_as_refusal
from .tflite import TFLiteOptions, convert
from .tracing import Traced

_WHO = "LiteRT's quantizer"
_DENSE = "FULLY_CONNECTED"
_SMALLEST = 1024  # weights: below, nothing is gained

# The versions of operations with weights quantized so, as TensorFlow's own dynamic-range files state them. The
# quantizer leaves those of the float model, and tflite-runtime 2.14 would run the file and answer nonsense.
_VERSIONS = {_DENSE: 12, "CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "TRANSPOSE_CONV": 2}
_MINIMUM_RUNTIME = b"min_runtime_version"


def convert_int4(
    traced: Traced,
    keep_float: Sequence[str] = (),
) -> bytes:
    """Converts a traced model to a file with 4-bit weights.

    Args:
        traced: The model.
        keep_float: As for `quantize_int4`.

    Returns:
        The `.tflite` file.

    Raises:
        ConversionError: If a converter refuses, or nothing in the model would be 4-bit.
        InvalidInputError: If `keep_float` has a name that no operation gives.
        MissingDependencyError: If a package of the extra is not installed.
    """
    return quantize_int4(convert(traced, None, TFLiteOptions()), keep_float)


def quantize_int4(float_file: bytes, keep_float: Sequence[str] = ()) -> bytes:
    """Makes a float32 file's dense weights 4-bit and its other weights 8-bit.

    Args:
        float_file: The `.tflite` file.
        keep_float: Names of tensors whose operations keep their weights in float32.

    Returns:
        The `.tflite` file.

    Raises:
        ConversionError: If the quantizer refuses, or no dense layer has 1,024 weights or more.
        InvalidInputError: If `keep_float` has a name that no operation gives.
        MissingDependencyError: If a package of the extra is not installed.
    """
    contents = read_contents(float_file, ".tflite")
    given = {contents.tensors[index].name for op in contents.ops for index in op.outputs}
    for name in keep_float:
        if name not in given:
            raise unknown_name("tensor to keep in float", name, sorted(given))
    recipe = _recipe(contents, keep_float)
    quantizer = quiet_import("litert_quantizer.quantizer", "export").Quantizer
    with told_as_refusal(_WHO, ValueError, RuntimeError), muted():
        work = quantizer(float_file, recipe)
        result = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    return _with_versions(bytes(result.quantized_model))


def _recipe(contents: Contents, keep_float: Sequence[str]) -> list[dict[str, Any]]:
    """The quantizer's rules, of which the last one that fits an operation holds."""
    tensors = contents.tensors
    dense = [op for op in contents.ops if op.kind == _DENSE and tensors[op.inputs[1]].constant]
    large = [tensors[op.outputs[0]].name for op in dense if tensors[op.inputs[1]].size_bytes >= 4 * _SMALLEST]
    if not large:
        raise ConversionError(
            f"the model has no dense layer of {_SMALLEST} weights or more, and only those get 4-bit weights; "
            "tflite-dynamic would be the same"
        )
    # OCTAV clips the few largest weights where that lowers the squared error (Sakr et al., "Optimal Clipping and
    # Magnitude-aware Differentiation for Improved Quantization-aware Training", ICML 2022): 1 dB less noise here.
    rules = [_rule(".*", "*", 8, "min_max_uniform_quantize"), _rule(_any_of(large), _DENSE, 4, "OCTAV")]
    if keep_float:
        rules.append({"regex": _any_of(keep_float), "operation": "*", "algorithm_key": "no_quantize"})
    return rules


def _rule(regex: str, operation: str, bits: int, algorithm: str) -> dict[str, Any]:
    weights = {"num_bits": bits, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
    return {
        "regex": regex,
        "operation": operation,
        "algorithm_key": algorithm,
        # Integer arithmetic on weights as they are stored: dynamic range.
        "op_config": {
            "weight_tensor_config": weights,
            "compute_precision": "INTEGER",
            "explicit_dequantize": False,
        },
    }


def _any_of(names: Sequence[str]) -> str:
    """A pattern for operations, which the quantizer names by what they give, each followed by ";"."""
    return "^(?:" + "|".join(map(re.escape, names)) + ");"


def _with_versions(content: bytes) -> bytes:
    """States what the file asks of a runtime; all data is then within the FlatBuffer, not behind it."""
    utilities = require("ai_edge_litert.tools.flatbuffer_utils", "export")
    model = utilities.read_model_from_bytearray(bytearray(content))
    versions = {getattr(utilities.BuiltinOperator, kind): version for kind, version in _VERSIONS.items()}
    for code in model.operatorCodes:
        code.version = max(code.version, versions.get(code.builtinCode, 0))
    model.metadata = [entry for entry in model.metadata or () if entry.name != _MINIMUM_RUNTIME]  # of the float model
    return bytes(utilities.convert_object_to_bytearray(model))
