"""Whether a model file remembers: variables that one call leaves for the next."""

from .contents.flatbuffer import root
from .contents.limits import Source
from .contents.tflite import (
    GRAPH_TENSORS,
    IDENTIFIER,
    MODEL_CODES,
    MODEL_SUBGRAPHS,
    NAME,
    operator_code,
)

_TENSOR_IS_VARIABLE = 5
_MAKES_VARIABLES = "VAR_HANDLE"


def is_stateful(content: bytes, suffix: str) -> bool:
    """Tells whether what a model answers depends on earlier calls.

    TFLite has two kinds of variables: resources, and tensors in which recurrent operators keep their state. ONNX,
    ncnn and MNN have none: state goes in and out as inputs and outputs.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        IntegrityError: If the file is damaged.
    """
    if suffix != ".tflite":
        return False
    model = root(Source(content, NAME), IDENTIFIER)
    return any(operator_code(table)[0] == _MAKES_VARIABLES for table in model.tables(MODEL_CODES)) or any(
        tensor.integer(_TENSOR_IS_VARIABLE, "b")
        for graph in model.tables(MODEL_SUBGRAPHS)
        for tensor in graph.tables(GRAPH_TENSORS)
    )
