"""A model file's inputs and outputs as `liteport.runtime` will name them, without an engine.

So a file that crashes its engine is still compared by what it states, and is found out where it is measured.
"""

from collections.abc import Iterable

import numpy as np

from liteport.errors import InvalidInputError
from liteport.runtime import TensorSpec
from liteport.runtime.contents import Tensor, read_contents
from liteport.runtime.contents.flatbuffer import Table, Tables, root
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.tflite import (
    GRAPH_INPUTS,
    GRAPH_OUTPUTS,
    GRAPH_TENSORS,
    IDENTIFIER,
    MODEL_BUFFERS,
    MODEL_SUBGRAPHS,
    NAME,
    index_reader,
    tensor_of,
)

Specs = tuple[TensorSpec, ...]

# Slots of TensorFlow Lite's schema, and the name of the signature that is meant where none is named.
_MODEL_SIGNATURES = 7
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_GRAPH = 0, 1, 2, 4
_ENTRY_NAME, _ENTRY_TENSOR = 0, 1
_DEFAULT_SIGNATURE = "serving_default"


def read_specs(content: bytes, suffix: str) -> tuple[Specs, Specs]:
    """Reads the inputs and the outputs of a model file, in the order in which `Model` has them.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        IntegrityError: If the file is damaged.
        InvalidInputError: If it has several signatures and none that is meant by default, or a tensor of what numpy
            has no numbers for.
    """
    if suffix == ".tflite":
        return _tflite_specs(content)
    contents = read_contents(content, suffix)
    inputs, outputs = (
        tuple(_spec(contents.tensors[index].name, contents.tensors[index]) for index in indices)
        for indices in (contents.inputs, contents.outputs)
    )
    return inputs, outputs


def _tflite_specs(content: bytes) -> tuple[Specs, Specs]:
    model = root(Source(content, NAME), IDENTIFIER)
    buffers, graphs = model.tables(MODEL_BUFFERS), model.tables(MODEL_SUBGRAPHS)
    signature = _signature(model)
    if signature is None:
        tensors = graphs[0].tables(GRAPH_TENSORS)
        indices = index_reader(graphs[0], len(tensors), lowest=0)
        inputs, outputs = (
            _counted(tensor_of(tensors[index], buffers) for index in indices(slot))
            for slot in (GRAPH_INPUTS, GRAPH_OUTPUTS)
        )
    else:
        tensors = graphs[signature.integer(_SIGNATURE_GRAPH, "I")].tables(GRAPH_TENSORS)
        inputs, outputs = (
            _named(signature.tables(slot), tensors, buffers) for slot in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS)
        )
    return inputs, outputs


def _signature(model: Table) -> Table | None:
    """Chooses the signature that is run where none is named; None where there is none."""
    signatures = {table.text(_SIGNATURE_KEY): table for table in model.tables(_MODEL_SIGNATURES)}
    if len(signatures) > 1 and _DEFAULT_SIGNATURE not in signatures:
        raise InvalidInputError(f"it has the signatures {list(signatures)}; expected one, or {_DEFAULT_SIGNATURE!r}")
    return signatures.get(_DEFAULT_SIGNATURE) or next(iter(signatures.values()), None)


def _named(entries: Tables, tensors: Tables, buffers: Tables) -> Specs:
    """Returns a signature's tensors by name, as the engine sorts them."""
    indices = {entry.text(_ENTRY_NAME): entry.integer(_ENTRY_TENSOR, "I") for entry in entries}
    return tuple(_spec(name, tensor_of(tensors[index], buffers)) for name, index in sorted(indices.items()))


def _counted(tensors: Iterable[Tensor]) -> Specs:
    """Returns a graph's tensors; where several have the same name the second is `name:1`."""
    named: dict[str, Tensor] = {}
    for tensor in tensors:
        name, number = tensor.name, 0
        while name in named:
            number += 1
            name = f"{tensor.name}:{number}"
        named[name] = tensor
    return tuple(_spec(name, tensor) for name, tensor in named.items())


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError as error:
        raise InvalidInputError(f"{name!r} holds {tensor.dtype or 'no tensor'}; expected numbers") from error
    if tensor.dtype == "" or dtype.kind not in "fiub":
        raise InvalidInputError(f"{name!r} holds {tensor.dtype or 'no tensor'}; expected numbers")
    quantized = (
        len(tensor.scales) == 1 and dtype.kind in "iu"
    )  # floating tensors may keep what they were quantized with
    return TensorSpec(
        name=name,
        dtype=dtype.name,
        shape=tuple(size or None for size in tensor.shape),
        scale=tensor.scales[0] if quantized else None,
        zero_point=tensor.zero_points[0] if quantized else None,
    )
