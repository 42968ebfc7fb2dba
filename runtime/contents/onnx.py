"""ONNX files: the messages of ONNX's schema (onnx/onnx.proto) over the Protocol Buffers reader."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .description import Contents, Op, Tensor
from .limits import Source
from .onnx_tensors import Constant, check_sizes, dtype_name, of_attribute, of_sparse, of_tensor
from .protobuf import Message

NAME = "the ONNX file"

# Numbers of the schema's fields, as far as they are read.
MODEL_IR_VERSION, MODEL_PRODUCER, MODEL_PRODUCER_VERSION = 1, 2, 3
MODEL_GRAPH, MODEL_OPSETS, MODEL_METADATA = 7, 8, 14
OPSET_DOMAIN, OPSET_VERSION = 1, 2
ENTRY_KEY, ENTRY_VALUE = 1, 2
GRAPH_NODES, GRAPH_INITIALIZERS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_VALUES, GRAPH_SPARSE = 1, 5, 11, 12, 13, 15
NODE_INPUTS, NODE_OUTPUTS, NODE_NAME, NODE_OPERATOR, NODE_ATTRIBUTES, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER = 1, 3
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE, _SHAPE_DIMENSIONS, _DIMENSION_SIZE = 1, 1, 2, 1, 1

METADATA_FIELD = MODEL_METADATA
_FREE = -1  # as some exporters write it; others leave the size out

_OWN_DOMAINS = ("", "ai.onnx")
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def read(content: bytes) -> Contents:
    """Reads what is in an `.onnx` file.

    Raises:
        IntegrityError: If it is damaged.
    """
    source = Source(content, NAME)
    model = Message(source)
    graphs = model.messages(MODEL_GRAPH)
    if len(graphs) != 1 or MODEL_IR_VERSION not in model.fields:
        raise source.damaged(f"it holds {len(graphs)} graphs and {len(model.fields)} kinds of fields")
    producer = (model.text(MODEL_PRODUCER), model.text(MODEL_PRODUCER_VERSION))
    graph = _Graph(source)
    graph.read(graphs[0])
    return Contents(
        format="onnx",
        inputs=graph.inputs,
        outputs=graph.outputs,
        tensors=tuple(graph.tensors),
        ops=tuple(graph.ops),
        minimum_runtime=None,
        opsets={
            own_domain(item.text(OPSET_DOMAIN)): item.integer(OPSET_VERSION) for item in model.messages(MODEL_OPSETS)
        },
        producer=" ".join(filter(None, producer)),
        metadata={name: content[start:end] for name, (start, end) in _metadata(model).items()},
    )


def metadata_spans(content: bytes) -> dict[str, tuple[int, int]]:
    """Returns where the value of each of an `.onnx` file's metadata_props starts and ends, without reading the graph.

    Raises:
        IntegrityError: If the file is damaged.
    """
    return _metadata(Message(Source(content, NAME)))


def _metadata(model: Message) -> dict[str, tuple[int, int]]:
    entries = model.messages(MODEL_METADATA)
    return {entry.text(ENTRY_KEY): (entry.spans(ENTRY_VALUE) or [(0, 0)])[-1] for entry in entries}


def own_domain(domain: str) -> str:
    """Returns a domain, ONNX's own always by its short name."""
    return "" if domain in _OWN_DOMAINS else domain


@dataclass
class _Graph:
    """The main graph while it is read: tensors in the order in which they are named."""

    source: Source
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    _indices: dict[str, int] = field(default_factory=dict)
    _constants: dict[str, Constant] = field(default_factory=dict)
    _pairs: list[tuple[int, int]] = field(default_factory=list)  # the two sides of each Q or DQ node

    def read(self, graph: Message) -> None:
        """Reads initializers, inputs and nodes, in this order, since each may refer to those before it."""
        constants = [of_tensor(tensor) for tensor in graph.messages(GRAPH_INITIALIZERS)]
        constants += [of_sparse(tensor) for tensor in graph.messages(GRAPH_SPARSE)]
        initial = {constant.tensor.name for constant in constants}
        inputs, outputs = (_values(graph.messages(number)) for number in (GRAPH_INPUTS, GRAPH_OUTPUTS))
        stated = {value.name: value for value in [*_values(graph.messages(GRAPH_VALUES)), *outputs]}
        # Old files list initializers among the inputs as well.
        self.inputs = tuple(self._add(value) for value in inputs if value.name not in initial)
        for constant in constants:
            self._add_constant(constant)
        for node in graph.messages(GRAPH_NODES):
            self._read_node(node, stated)
        for one, other in reversed(self._pairs):  # from an output that states its shape back to what led there
            self._state(one, "", self.tensors[other].shape)
            self._state(other, "", self.tensors[one].shape)
        self.outputs = tuple(self._index(value.name) for value in outputs)

    def _add(self, tensor: Tensor) -> int:
        index = self._indices.setdefault(tensor.name, len(self.tensors))
        if index == len(self.tensors):
            self.tensors.append(tensor)
        return index

    def _add_constant(self, constant: Constant) -> None:
        self._add(constant.tensor)
        if constant.readable:
            self._constants[constant.tensor.name] = constant

    def _index(self, name: str) -> int:
        """Returns the index of a tensor by its name; "" stands for an optional one that is absent."""
        if name and name not in self._indices:
            raise self.source.damaged(f"{name[:80]!r} is used but nothing makes it")
        return self._indices[name] if name else -1

    def _read_node(self, node: Message, stated: dict[str, Tensor]) -> None:
        domain, operator = own_domain(node.text(NODE_DOMAIN)), node.text(NODE_OPERATOR)
        inputs = tuple(self._index(name) for name in node.texts(NODE_INPUTS))
        names = node.texts(NODE_OUTPUTS)
        outputs = tuple(self._add(stated.get(name, Tensor(name, "", ()))) if name else -1 for name in names)
        attributes = {entry.text(ATTRIBUTE_NAME): entry for entry in node.messages(NODE_ATTRIBUTES)}
        kind = f"{domain}.{operator}" if domain else operator
        self.ops.append(Op(kind, None, inputs, outputs, node.text(NODE_NAME)))
        if kind == "Constant" and outputs[:1] not in ((), (-1,)):
            self._read_constant(names[0], attributes)
        if operator in (_QUANTIZE, _DEQUANTIZE) and len(inputs) >= 2 and len(outputs) == 1:
            self._read_quantization(operator, self.ops[-1], attributes)

    def _read_constant(self, name: str, attributes: dict[str, Message]) -> None:
        for kind, attribute in attributes.items():
            constant = of_attribute(name, kind, attribute)
            if constant is not None:
                self.tensors[self._indices[name]] = constant.tensor
                self._add_constant(constant)

    def _read_quantization(self, operator: str, op: Op, attributes: dict[str, Message]) -> None:
        """Notes what a Q or DQ node says of its quantized side, and the shape that both sides share."""
        quantized, real = (op.outputs[0], op.inputs[0]) if operator == _QUANTIZE else (op.inputs[0], op.outputs[0])
        scale, zero_point = op.inputs[1], op.inputs[2] if len(op.inputs) > 2 else -1
        if min(quantized, real, scale) < 0:
            raise self.source.damaged(f"{operator} {op.name[:80]!r} lacks an input or output")
        shape = self.tensors[quantized].shape or self.tensors[real].shape
        stated = attributes["output_dtype"].integer(ATTRIBUTE_INTEGER) if "output_dtype" in attributes else 0
        dtype = self.tensors[zero_point].dtype if zero_point >= 0 else dtype_name(stated) or "uint8"
        self._state(real, self.tensors[scale].dtype, shape)
        self._state(quantized, dtype, shape)
        self._pairs.append((quantized, real))
        if not self.tensors[quantized].scales:
            axis = attributes["axis"].integer(ATTRIBUTE_INTEGER) if "axis" in attributes else 1
            self._quantize(quantized, scale, zero_point, axis)

    def _state(self, index: int, dtype: str, shape: tuple[int | None, ...]) -> None:
        """Fills in what the file leaves open of a tensor."""
        tensor = self.tensors[index]
        self.tensors[index] = replace(tensor, dtype=tensor.dtype or dtype, shape=tensor.shape or shape)

    def _quantize(self, index: int, scale: int, zero_point: int, axis: int) -> None:
        """Notes scales and zero points, where both are constants of the file."""
        tensor = self.tensors[index]
        names = [self.tensors[parameter].name for parameter in (scale, zero_point) if parameter >= 0]
        constants = [self._constants[name] for name in names if name in self._constants]
        if len(constants) < len(names):
            return
        scales, *rest = (tuple(constant.numbers().tolist()) for constant in constants)
        zero_points = tuple(map(int, rest[0])) if rest else (0,) * len(scales)
        if len(zero_points) != len(scales):
            raise self.source.damaged(
                f"{tensor.name[:80]!r} has {len(scales)} scales and {len(zero_points)} zero points"
            )
        along = (axis + len(tensor.shape) if axis < 0 else axis) if len(scales) > 1 else None
        self.tensors[index] = replace(tensor, scales=tuple(map(float, scales)), zero_points=zero_points, axis=along)


def _values(messages: Iterable[Message]) -> list[Tensor]:
    """Returns what the file states of graph inputs, outputs or intermediate values."""
    return [value_of(message) for message in messages]


def value_of(message: Message) -> Tensor:
    """Reads what the file states of an input, an output or an intermediate value.

    Raises:
        IntegrityError: If it is damaged.
    """
    name, kind = message.text(_VALUE_NAME), message.message(_VALUE_TYPE)
    tensor = kind.message(_TYPE_TENSOR) if kind else None
    if tensor is None:  # a sequence, a map or an optional
        return Tensor(name, "", ())
    shape = tensor.message(_TENSOR_SHAPE)
    sizes = [
        dimension.integer(_DIMENSION_SIZE, _FREE) for dimension in (shape.messages(_SHAPE_DIMENSIONS) if shape else [])
    ]
    check_sizes(message.source, name, [0 if size == _FREE else size for size in sizes])
    return Tensor(
        name, dtype_name(tensor.integer(_TENSOR_ELEMENT)), tuple(None if size == _FREE else size for size in sizes)
    )
