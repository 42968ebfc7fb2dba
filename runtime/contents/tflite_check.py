"""What TFLite interpreters take on trust: before 2.17 all of a file, since then what its graphs mean."""

from collections.abc import Sequence

from . import tflite_layouts as layouts
from .calls import check_calls
from .description import Op
from .flatbuffer import Table, Tables, root
from .limits import Source
from .tflite import (
    GRAPH_INPUTS,
    GRAPH_OPERATORS,
    GRAPH_OUTPUTS,
    GRAPH_TENSORS,
    IDENTIFIER,
    MODEL_BUFFERS,
    MODEL_CODES,
    MODEL_METADATA,
    MODEL_SUBGRAPHS,
    NAME,
    data_span,
    index_reader,
    op_of,
    operator_code,
)
from .tflite_fields import check_fields
from .tflite_names import BUILTIN_OPERATORS
from .tflite_options import check_options
from .tflite_tensors import Checked, check_tensor
from .tflite_types import check_types

_MODEL_SIGNATURES, _MODEL_EXTERNAL_GROUPS, _MODEL_EXTERNAL_BUFFERS = 7, 8, 9
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_GRAPH, _ENTRY_TENSOR = 0, 1, 4, 1
_OPERATOR_INTERMEDIATES = 8

# Operators of which any input may be absent; of others only what follows the first two: a bias and the like.
_ANY_OPTIONAL = {
    "LSTM",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "STABLEHLO_COMPOSITE",
}
_NEVER_OPTIONAL = 2


def check(content: bytes) -> None:
    """Checks a `.tflite` file.

    Raises:
        IntegrityError: If it is damaged, contradicts itself, or keeps data elsewhere.
    """
    source = Source(content, NAME)
    model = root(source, IDENTIFIER)
    check_fields(model, layouts.MODEL)
    if len(model.tables(_MODEL_EXTERNAL_GROUPS)) or len(model.tables(_MODEL_EXTERNAL_BUFFERS)):
        raise source.incomplete("other files")
    buffers, graphs = model.tables(MODEL_BUFFERS), model.tables(MODEL_SUBGRAPHS)
    for buffer in buffers:
        check_fields(buffer, layouts.BUFFER)
        data_span(buffer)
    for entry in model.tables(MODEL_METADATA):
        check_fields(entry, layouts.METADATA)
        buffers.position(entry.integer(1, "I"))
    codes = [_code(table) for table in model.tables(MODEL_CODES)]
    if not len(graphs):
        raise source.damaged("it holds no graph")
    sizes, calls = zip(*(_check_graph(graph, buffers, codes) for graph in graphs), strict=True)
    check_calls(source, calls)
    for signature in model.tables(_MODEL_SIGNATURES):
        _check_signature(signature, sizes)


def _code(table: Table) -> tuple[str, int]:
    check_fields(table, layouts.OPERATOR_CODE)
    name, version = operator_code(table)
    if not name or version < 1:
        raise table.source.damaged(f"it uses version {version} of an operator named {name[:80]!r}")
    return name, version


def _check_graph(graph: Table, buffers: Tables, codes: Sequence[tuple[str, int]]) -> tuple[int, tuple[int, ...]]:
    """Checks a graph, and returns how many tensors it has and which graphs it calls."""
    check_fields(graph, layouts.GRAPH)
    tensors = [check_tensor(table, buffers) for table in graph.tables(GRAPH_TENSORS)]
    indices = index_reader(graph, len(tensors), lowest=0)
    inputs, outputs = indices(GRAPH_INPUTS), indices(GRAPH_OUTPUTS)
    ops: list[Op] = []
    calls: list[int] = []
    for table in graph.tables(GRAPH_OPERATORS):
        check_fields(table, layouts.OPERATOR)
        op = op_of(table, codes, len(tensors))
        index_reader(table, len(tensors), lowest=-1)(_OPERATOR_INTERMEDIATES)
        calls += check_options(table, op.kind)
        ops.append(op)
    _check_order(graph.source, tensors, inputs, outputs, ops)
    return len(tensors), tuple(calls)


def _check_order(
    source: Source, tensors: Sequence[Checked], inputs: Sequence[int], outputs: Sequence[int], ops: Sequence[Op]
) -> None:
    """Checks that every tensor is made before it is used, and once."""
    made = {index for index, entry in enumerate(tensors) if entry.filled}.union(inputs)
    constants = {index for index, entry in enumerate(tensors) if entry.tensor.size_bytes}
    written = set(inputs) | constants
    for number, op in enumerate(ops):
        used, given = ([tensors[index].tensor for index in row if index >= 0] for row in (op.inputs, op.outputs))
        check_types(source, f"operation {number}, {op.kind},", op.kind, used, given)
        if op.kind in BUILTIN_OPERATORS and op.kind not in _ANY_OPTIONAL and -1 in op.inputs[:_NEVER_OPTIONAL]:
            raise source.damaged(f"operation {number}, {op.kind}, lacks an input")
        if unknown := [index for index in op.inputs if index >= 0 and index not in made]:
            name = tensors[unknown[0]].tensor.name
            raise source.damaged(f"operation {number}, {op.kind}, uses {name[:80]!r} before anything makes it")
        for index in op.outputs:
            if index < 0 or index in written:
                raise source.damaged(
                    f"operation {number}, {op.kind}, writes to no tensor, or to one that is not its own"
                )
            written.add(index)
        made.update(op.outputs)
    if unknown := [index for index in outputs if index not in made]:
        raise source.damaged(f"nothing makes its output {tensors[unknown[0]].tensor.name[:80]!r}")


def _check_signature(signature: Table, sizes: Sequence[int]) -> None:
    check_fields(signature, layouts.SIGNATURE)
    graph = signature.integer(_SIGNATURE_GRAPH, "I")
    if graph >= len(sizes):
        raise signature.source.damaged(f"a signature refers to graph {graph} of {len(sizes)}")
    for slot in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS):
        for entry in signature.tables(slot):
            check_fields(entry, layouts.SIGNATURE_ENTRY)
            if entry.integer(_ENTRY_TENSOR, "I") >= sizes[graph]:
                raise signature.source.damaged(f"a signature refers to a tensor that is none of its {sizes[graph]}")
