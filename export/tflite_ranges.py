"""Ranges of activations noted in a float TensorFlow Lite file, from which TensorFlow's quantizer takes them."""

from collections.abc import Mapping

from liteport.errors import require

from .learned import Range


def with_ranges(content: bytes, ranges: Mapping[str, Range]) -> bytes:
    """Notes ranges in a float file, as calibration does.

    Args:
        content: The `.tflite` file.
        ranges: By the tensor's name.
    """
    utilities = require("ai_edge_litert.tools.flatbuffer_utils", "export")
    parameters = require("ai_edge_litert.schema_py_generated", "export").QuantizationParametersT
    model = utilities.read_model_from_bytearray(bytearray(content))
    for tensor in model.subgraphs[0].tensors:
        if ends := ranges.get(tensor.name.decode()):
            tensor.quantization = parameters()
            tensor.quantization.min, tensor.quantization.max = ([end] for end in ends)
    return bytes(utilities.convert_object_to_bytearray(model))
