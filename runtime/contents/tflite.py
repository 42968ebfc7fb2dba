"""TFLite files: the tables of TensorFlow Lite's schema (tflite/schema/schema.fbs) over the FlatBuffers reader."""

from collections.abc import Callable, Sequence

from .description import Contents, Op, Tensor
from .flatbuffer import Table, Tables, root
from .limits import MOST_DIMENSIONS, Source
from .tflite_names import BUILTIN_OPERATORS, CUSTOM, TENSOR_TYPES

IDENTIFIER = b"TFL3"
_NAME = "the TFLite file"
_MINIMUM_RUNTIME = "min_runtime_version"
_CONVERSION = "CONVERSION_METADATA"

# Slots of the schema's tables, as far as they are read.
_MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_DESCRIPTION, _MODEL_BUFFERS, _MODEL_METADATA = 1, 2, 3, 4, 6
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 2, 3, 4
_TENSOR_SHAPE_SIGNATURE, _TENSOR_EXTERNAL_BUFFER = 7, 10
_SCALE, _ZERO_POINT, _QUANTIZED_DIMENSION = 2, 3, 6
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 0, 1, 2
_CODE_OLD_BUILTIN, _CODE_CUSTOM, _CODE_VERSION, _CODE_BUILTIN = 0, 1, 2, 3
_BUFFER_DATA, _BUFFER_OFFSET, _BUFFER_SIZE = 0, 1, 2
_METADATA_NAME, _METADATA_BUFFER = 0, 1

_BYTES_PER_ITEM = 64  # bytes that are copied as a block count less than numbers that become objects


def read(content: bytes) -> Contents:
    """Reads what is in a `.tflite` file.

    Raises:
        IntegrityError: If it is damaged.
    """
    source = Source(content, _NAME)
    model = root(source, IDENTIFIER)
    graphs, buffers = model.tables(_MODEL_SUBGRAPHS), model.tables(_MODEL_BUFFERS)
    if not len(graphs):
        raise source.damaged("it holds no graph")
    graph = graphs[0]
    tensors = tuple(_tensor(table, buffers) for table in graph.tables(_GRAPH_TENSORS))
    codes = [_operator_code(table) for table in model.tables(_MODEL_CODES)]
    indices = _index_reader(graph, len(tensors), lowest=0)
    metadata = {name: content[start:end] for name, (start, end) in _metadata(model).items()}
    return Contents(
        format="tflite",
        inputs=indices(_GRAPH_INPUTS),
        outputs=indices(_GRAPH_OUTPUTS),
        tensors=tensors,
        ops=tuple(_op(table, codes, len(tensors)) for table in graph.tables(_GRAPH_OPERATORS)),
        minimum_runtime=_minimum_runtime(metadata),
        opsets={},
        producer=_producer(model.text(_MODEL_DESCRIPTION), metadata),
        metadata=metadata,
    )


def metadata_spans(content: bytes) -> dict[str, tuple[int, int]]:
    """Returns where each metadata buffer starts and ends in a `.tflite` file, without reading the graph.

    Raises:
        IntegrityError: If the file is damaged.
    """
    return _metadata(root(Source(content, _NAME), IDENTIFIER))


def _metadata(model: Table) -> dict[str, tuple[int, int]]:
    buffers = model.tables(_MODEL_BUFFERS)
    spans: dict[str, tuple[int, int]] = {}
    for entry in model.tables(_MODEL_METADATA):
        span = _data_span(buffers[entry.integer(_METADATA_BUFFER, "I")])
        spans.setdefault(entry.text(_METADATA_NAME), span)  # TensorFlow's readers take the first of a name
        model.source.spend((span[1] - span[0]) // _BYTES_PER_ITEM)
    return spans


def _data_span(buffer: Table) -> tuple[int, int]:
    """Returns where a buffer's data lies: in the FlatBuffer, or after it in files that are too large for one."""
    start, end = buffer.span(_BUFFER_DATA)
    if (offset := buffer.integer(_BUFFER_OFFSET, "Q")) > 1:  # 0 and 1 mean that there is none
        start, end = offset, offset + buffer.integer(_BUFFER_SIZE, "Q")
        if end > len(buffer.source.content):
            raise buffer.source.damaged(f"the data at byte {start} reaches past its end")
    return start, end


def _tensor(table: Table, buffers: Tables) -> Tensor:
    kind = table.integer(_TENSOR_TYPE, "b")
    index = table.integer(_TENSOR_BUFFER, "I")
    start, end = _data_span(buffers[index]) if index else (0, 0)  # buffer 0 is nobody's
    scales, zero_points, axis = _quantization(table)
    return Tensor(
        name=table.text(_TENSOR_NAME),
        dtype=TENSOR_TYPES[kind] if 0 <= kind < len(TENSOR_TYPES) else f"type {kind}",
        shape=_shape(table),
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        constant=end > start or table.integer(_TENSOR_EXTERNAL_BUFFER, "I") > 0,
        size_bytes=end - start,
    )


def _shape(table: Table) -> tuple[int | None, ...]:
    """Returns a tensor's shape; the signature has -1 for a free size where the shape has 1."""
    sizes = table.numbers(_TENSOR_SHAPE_SIGNATURE, "i") or table.numbers(_TENSOR_SHAPE, "i")
    if len(sizes) > MOST_DIMENSIONS or min(sizes, default=0) < -1:
        raise table.source.damaged(f"a tensor has shape {list(sizes[:MOST_DIMENSIONS])}")
    return tuple(None if size == -1 else size for size in sizes)


def _quantization(table: Table) -> tuple[tuple[float, ...], tuple[int, ...], int | None]:
    parameters = table.table(_TENSOR_QUANTIZATION)
    scales = parameters.reals(_SCALE) if parameters else ()
    if parameters is None or not scales:
        return (), (), None
    zero_points = parameters.numbers(_ZERO_POINT, "q") or (0,)
    if len(zero_points) == 1:  # one for all channels
        table.source.spend(len(scales))
        zero_points *= len(scales)
    if len(zero_points) != len(scales):
        raise table.source.damaged(f"a tensor has {len(scales)} scales and {len(zero_points)} zero points")
    return scales, zero_points, parameters.integer(_QUANTIZED_DIMENSION, "i") if len(scales) > 1 else None


def _operator_code(table: Table) -> tuple[str, int]:
    """Returns an operator's name and version."""
    # Codes past 127 do not fit the older field, which then holds a placeholder that is smaller.
    code = max(table.integer(_CODE_OLD_BUILTIN, "b"), table.integer(_CODE_BUILTIN, "i"))
    if code < 0:
        raise table.source.damaged(f"an operator has the code {code}")
    name = BUILTIN_OPERATORS[code] if code < len(BUILTIN_OPERATORS) else f"BUILTIN_{code}"
    return table.text(_CODE_CUSTOM) if code == CUSTOM else name, table.integer(_CODE_VERSION, "i", 1)


def _op(table: Table, codes: Sequence[tuple[str, int]], tensors: int) -> Op:
    index = table.integer(_OPERATOR_CODE, "I")
    if index >= len(codes):
        raise table.source.damaged(f"an operation refers to operator code {index} of {len(codes)}")
    kind, version = codes[index]
    indices = _index_reader(table, tensors, lowest=-1)
    return Op(kind, version, indices(_OPERATOR_INPUTS), indices(_OPERATOR_OUTPUTS))


def _index_reader(table: Table, tensors: int, lowest: int) -> Callable[[int], tuple[int, ...]]:
    """Returns what reads the tensor indices of a table's slot."""

    def indices(slot: int) -> tuple[int, ...]:
        found = table.numbers(slot, "i")
        if min(found, default=lowest) < lowest or max(found, default=lowest) >= tensors:
            raise table.source.damaged(f"it refers to a tensor that is none of its {tensors}")
        return found

    return indices


def _minimum_runtime(metadata: dict[str, bytes]) -> str | None:
    text = metadata.get(_MINIMUM_RUNTIME, b"").rstrip(b"\0").decode("ascii", "replace")
    return text or None


def _producer(description: str, metadata: dict[str, bytes]) -> str:
    """Returns the model's description, and the TensorFlow that converted it where the converter left word of that."""
    if _CONVERSION not in metadata:
        return description
    # Its schema is the converter's own, tensorflow/compiler/mlir/lite/schema/conversion_metadata.fbs.
    environment = root(Source(metadata[_CONVERSION], f"{_NAME}'s {_CONVERSION}"), None).table(0)
    version = environment.text(0) if environment else ""
    return f"{description} (TensorFlow {version})" if version else description
