"""Whether the tensors of a TFLite operation have types, scales and shapes that its kernel can compute with."""

from collections.abc import Sequence

from .description import Tensor
from .limits import Source

# Types that operators take only with a scale, which interpreters before 2.17 divide by unasked.
_BYTES = ("int8", "uint8")
_QUANTIZED = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"), (*_BYTES, "int16")),
    **dict.fromkeys(("DEQUANTIZE", "QUANTIZE"), (*_BYTES, "int16")),
    **dict.fromkeys(("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC"), _BYTES),
    **dict.fromkeys(("MUL", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH"), _BYTES),
}

# Operators that give the type of their first input; and of those the ones that may give another type too.
_SAME_TYPE = frozenset(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED HARD_SWISH LEAKY_RELU LOGISTIC
    MAX_POOL_2D MEAN MUL PAD PRELU RELU RELU6 RESHAPE SOFTMAX SUB TANH TRANSPOSE
    """.split()  # noqa: SIM905 - a name a line would fill a page
)
_WIDER = {"FULLY_CONNECTED": "int16"}

_COPIES = ("DEQUANTIZE", "DENSIFY")  # of constants done at load, by a delegate that trusts the shapes


def check_types(source: Source, which: str, kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Checks that what an operation computes with is quantized where it must be, and as large as it is copied to.

    Args:
        source: The file.
        which: The operation, for messages.
        kind: Its operator's name.
        inputs: Those that are not absent.
        outputs: What it makes.

    Raises:
        IntegrityError: If not.
    """
    quantized = _QUANTIZED.get(kind, ())
    for tensor in (*inputs, *outputs):
        if tensor.dtype in quantized and not tensor.scales:
            raise source.damaged(f"{which} needs a scale of {tensor.name[:80]!r}")
    for tensor in outputs:
        if tensor.dtype in quantized and not min(tensor.scales) > 0:  # of an input that is all zeros it may be 0
            raise source.damaged(f"{which} writes to {tensor.name[:80]!r}, whose scale is 0")
    if not inputs or not outputs:
        return
    if kind in _SAME_TYPE and outputs[0].dtype not in (inputs[0].dtype, _WIDER.get(kind)):
        raise source.damaged(f"{which} makes {outputs[0].dtype} of {inputs[0].dtype}")
    if kind in _COPIES and inputs[0].constant and inputs[0].shape != outputs[0].shape:
        raise source.damaged(f"{which} copies {list(inputs[0].shape)} into {list(outputs[0].shape)}")
