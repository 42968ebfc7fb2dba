"""What is left in float in a TensorFlow Lite file that was to compute in integers."""

import numpy as np

from liteport.errors import ConversionError, require
from liteport.runtime.contents import read_contents

from .refusal import placed

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_FLOATING = ("float16", "bfloat16", "float32", "float64")


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
        raise ConversionError(
            f"TensorFlow's converter has no integer form of {'; '.join(users[:3])}{more}: {left} left in float"
        )


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
