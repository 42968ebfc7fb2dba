"""MNN's `.mnn` files: one FlatBuffer of operations, their weights among their parameters.

https://github.com/alibaba/MNN/blob/master/schema/default/MNN.fbs

A document that is embedded stands behind the FlatBuffer, where MNN does not read (`trailer`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .description import Contents, Op, Tensor
from .flatbuffer import Table, root
from .limits import MOST_DIMENSIONS, Source
from .mnn_names import AXIS, CONSTANT, INPUT, OPERATIONS, PARAMETERS, TYPES, UNKNOWN
from .mnn_weights import Stored, blob, weights_of
from .trailer import document_spans, with_trailer

SUFFIX = ".mnn"
NAME = "the MNN file"

_NET_EXTRA, _NET_OPS, _NET_OUTPUTS, _NET_TENSORS, _NET_GRAPHS = 2, 3, 4, 7, 10
_EXTRA_VERSION = 2
_OP_INPUTS, _OP_PARAMETERS_KIND, _OP_PARAMETERS, _OP_NAME, _OP_OUTPUTS, _OP_TYPE, _OP_EXTERNAL = 0, 1, 2, 3, 4, 5, 7
_INPUT_SHAPE, _INPUT_TYPE = 0, 1
_GRAPH_TENSORS, _GRAPH_OPS = 3, 4
_FLOAT = 1
_INDICES = ("ArgMax", "ArgMin")  # operations whose results are whole numbers


@dataclass(frozen=True)
class _Step:
    """An operation, an input or a constant of the file."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: Table | None


def read(content: bytes) -> Contents:
    """Reads what is in a `.mnn` file.

    Raises:
        IntegrityError: If it is damaged.
    """
    source = Source(content, NAME)
    net = root(source, None)
    names = net.texts(_NET_TENSORS)
    steps = list(_steps(net, _NET_OPS, len(names)))
    outputs = _outputs(net, names, steps)
    tensors = [_value(name) for name in names]
    ops = []
    for step in steps:
        if step.kind in (CONSTANT, INPUT):
            tensors[step.outputs[0]] = _given(step, names[step.outputs[0]])
            continue
        own = tuple(range(len(tensors), len(tensors) + len(stored := list(_weights(step)))))
        tensors += map(_constant, stored)
        ops.append(Op(step.kind, None, (*step.inputs, *own), step.outputs, step.name))
    whole = {op.outputs[0] for op in ops if op.kind in _INDICES and op.outputs}
    for index in outputs:
        tensors[index] = _value(names[index], "int32" if index in whole else "float32")
    extra = net.table(_NET_EXTRA)
    return Contents(
        format="mnn",
        inputs=tuple(step.outputs[0] for step in steps if step.kind == INPUT),
        outputs=outputs,
        tensors=tuple(tensors),
        ops=tuple(ops),
        minimum_runtime=None,
        opsets={},
        producer=f"MNN {version}" if extra and (version := extra.text(_EXTRA_VERSION)) else "",
        metadata={name: content[start:end] for name, (start, end) in metadata_spans(content).items()},
    )


def check(content: bytes) -> None:
    """Checks a `.mnn` file, of which MNN itself checks that it is a FlatBuffer, and little of what that means.

    Raises:
        IntegrityError: If it is damaged, contradicts itself, or keeps data elsewhere.
    """
    contents = read(content)
    source = Source(content, NAME)
    made = {*contents.inputs, *(index for index, tensor in enumerate(contents.tensors) if tensor.constant)}
    for op in contents.ops:
        if unknown := [index for index in op.inputs if index >= 0 and index not in made]:
            name = contents.tensors[unknown[0]].name
            raise source.damaged(f"operation {op.name[:80]!r} takes {name[:80]!r} before anything makes it")
        if taken := [index for index in op.outputs if index in made]:
            raise source.damaged(f"{contents.tensors[taken[0]].name[:80]!r} is made twice")
        made.update(op.outputs)
    if not contents.inputs or not contents.ops or not contents.outputs:
        raise source.damaged("it has no input, no output or no operation")
    if unknown := [index for index in contents.outputs if index not in made]:
        raise source.damaged(f"nothing makes its output {contents.tensors[unknown[0]].name[:80]!r}")
    for graph in root(source, None).tables(_NET_GRAPHS):
        for step in _steps(graph, _GRAPH_OPS, len(graph.texts(_GRAPH_TENSORS))):
            list(_weights(step))


def metadata_spans(content: bytes) -> dict[str, tuple[int, int]]:
    """Returns where the embedded document starts and ends, if there is one; see `document_spans`."""
    return document_spans(content, NAME)


def with_document(content: bytes, document: bytes) -> bytes:
    """Returns a file with a document at its end; one that was there is replaced."""
    return with_trailer(content, NAME, document)


def _steps(graph: Table, slot: int, tensors: int) -> Iterator[_Step]:
    for table in graph.tables(slot):
        number = table.integer(_OP_TYPE, "i")
        kind, name = OPERATIONS.get(number, f"{UNKNOWN}{number}"), table.text(_OP_NAME)
        inputs, outputs = table.numbers(_OP_INPUTS, "i"), table.numbers(_OP_OUTPUTS, "i")
        fixed = kind in (CONSTANT, INPUT)
        if min((*inputs, 0)) < -1 or min((*outputs, 0)) < 0 or max((*inputs, *outputs, 0)) >= max(1, tensors):
            raise table.source.damaged(f"operation {name[:80]!r} refers to a value that is none of its {tensors}")
        if fixed and len(outputs) != 1:
            raise table.source.damaged(f"{name[:80]!r} is {len(outputs)} values; expected one")
        if table.text(_OP_EXTERNAL):
            raise table.source.incomplete("other files")
        stated = table.integer(_OP_PARAMETERS_KIND, "B")
        if stated != PARAMETERS.get(kind, stated):
            raise table.source.damaged(f"operation {name[:80]!r} has parameters that are not of its kind, {kind}")
        parameters = table.table(_OP_PARAMETERS)
        if parameters is None and stated:
            raise table.source.damaged(f"operation {name[:80]!r} lacks its parameters")
        axis = parameters.integer(0, "i") if parameters is not None and stated == AXIS else 0
        if abs(axis) > MOST_DIMENSIONS:
            raise table.source.damaged(f"operation {name[:80]!r} goes along dimension {axis}")
        yield _Step(kind, name, inputs, outputs, parameters)


def _outputs(net: Table, names: Sequence[str], steps: Sequence[_Step]) -> tuple[int, ...]:
    """Returns the values that the file names as its outputs, or else those that no operation takes."""
    if wanted := net.texts(_NET_OUTPUTS):
        places = {name: index for index, name in enumerate(names)}
        if unknown := [name for name in wanted if name not in places]:
            raise net.source.damaged(f"its output {unknown[0][:80]!r} is none of its values")
        return tuple(places[name] for name in wanted)
    taken = {index for step in steps for index in step.inputs}
    return tuple(index for step in steps if step.kind != CONSTANT for index in step.outputs if index not in taken)


def _value(name: str, dtype: str = "") -> Tensor:
    return Tensor(name, dtype, ())


def _given(step: _Step, name: str) -> Tensor:
    """Returns a constant or an input; the converter writes a batch of one where it is free."""
    assert step.parameters is not None, "checked when it was read"
    if step.kind == CONSTANT:
        return _constant(blob(step.parameters, name))
    sizes = step.parameters.numbers(_INPUT_SHAPE, "i")
    number = step.parameters.integer(_INPUT_TYPE, "i", _FLOAT)
    if len(sizes) > MOST_DIMENSIONS:
        raise step.parameters.source.damaged(f"its input {name[:80]!r} has {len(sizes)} dimensions")
    shape = [size if size > 0 else None for size in sizes]
    shape[:1] = [size if size is not None and size > 1 else None for size in shape[:1]]
    return Tensor(name, TYPES.get(number, f"type {number}"), tuple(shape))


def _weights(step: _Step) -> Iterator[Stored]:
    if step.kind == CONSTANT and step.parameters is not None:
        yield blob(step.parameters, step.name)
    elif step.parameters is not None:
        yield from weights_of(step.kind, step.name, step.parameters)


def _constant(stored: Stored) -> Tensor:
    return Tensor(stored.name, stored.dtype, stored.shape, constant=math.prod(stored.shape) > 0, size_bytes=stored.size)
