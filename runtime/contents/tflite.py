"""TFLite files: the tables of TensorFlow Lite's schema (tflite/schema/schema.fbs) over the FlatBuffers reader."""

from collections.abc import Callable, Sequence

from .description import Contents, Op, Tensor
from .flatbuffer import BYTES_PER_ITEM, Table, Tables, root
from .limits import MOST_DIMENSIONS, Source
from .tflite_names import BUILTIN_OPERATORS, CUSTOM, TENSOR_TYPES

IDENTIFIER = b"TFL3"
NAME = "the TFLite file"
_MINIMUM_RUNTIME = "min_runtime_version"
_CONVERSION = "CONVERSION_METADATA"

# Slots of the schema's tables, as far as they are read.
MODEL_CODES, MODEL_SUBGRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS, MODEL_METADATA = 1, 2, 3, 4, 6
GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION = 0, 1, 2, 3, 4
TENSOR_SHAPE_SIGNATURE, TENSOR_EXTERNAL_BUFFER = 7, 10
_SCALE, _ZERO_POINT, _QUANTIZED_DIMENSION = 2, 3, 6
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS = 0, 1, 2
_CODE_OLD_BUILTIN, _CODE_CUSTOM, _CODE_VERSION, _CODE_BUILTIN = 0, 1, 2, 3
BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE = 0, 1, 2
METADATA_NAME, METADATA_BUFFER = 0, 1


def read(content: bytes) -> Contents:
    """Reads what is in a `.tflite` file.

    Raises:
        IntegrityError: If it is damaged.
    """
    source = Source(content, NAME)
    model = root(source, IDENTIFIER)
    graphs, buffers = model.tables(MODEL_SUBGRAPHS), model.tables(MODEL_BUFFERS)
    if not len(graphs):
        raise source.damaged("it holds no graph")
    graph = graphs[0]
    tensors = tuple(tensor_of(table, buffers) for table in graph.tables(GRAPH_TENSORS))
    codes = [operator_code(table) for table in model.tables(MODEL_CODES)]
    indices = index_reader(graph, len(tensors), lowest=0)
    metadata = {name: content[start:end] for name, (start, end) in _metadata(model).items()}
    return Contents(
        format="tflite",
        inputs=indices(GRAPH_INPUTS),
        outputs=indices(GRAPH_OUTPUTS),
        tensors=tensors,
        ops=tuple(op_of(table, codes, len(tensors)) for table in graph.tables(GRAPH_OPERATORS)),
        minimum_runtime=_minimum_runtime(metadata),
        opsets={},
        producer=_producer(model.text(MODEL_DESCRIPTION), metadata),
        metadata=metadata,
    )


def metadata_spans(content: bytes) -> dict[str, tuple[int, int]]:
    """Returns where each metadata buffer starts and ends in a `.tflite` file, without reading the graph.

    Raises:
        IntegrityError: If the file is damaged.
    """
    return _metadata(root(Source(content, NAME), IDENTIFIER))


def _metadata(model: Table) -> dict[str, tuple[int, int]]:
    buffers = model.tables(MODEL_BUFFERS)
    spans: dict[str, tuple[int, int]] = {}
    for entry in model.tables(MODEL_METADATA):
        span = data_span(buffers[entry.integer(METADATA_BUFFER, "I")])
        spans.setdefault(entry.text(METADATA_NAME), span)  # TensorFlow's readers take the first of a name
        model.source.spend((span[1] - span[0]) // BYTES_PER_ITEM)
    return spans


def data_span(buffer: Table) -> tuple[int, int]:
    """Returns where a buffer's data lies: in the FlatBuffer, or after it in files that are too large for one.

    Raises:
        IntegrityError: If it does not lie in the file.
    """
    start, end = buffer.span(BUFFER_DATA)
    if (offset := buffer.integer(BUFFER_OFFSET, "Q")) > 1:  # 0 and 1 mean that there is none
        start, end = offset, offset + buffer.integer(BUFFER_SIZE, "Q")
        if end > len(buffer.source.content):
            raise buffer.source.damaged(f"the data at byte {start} reaches past its end")
    return start, end


def tensor_of(table: Table, buffers: Tables) -> Tensor:
    """Reads a tensor, its data left where it is.

    Raises:
        IntegrityError: If it is damaged.
    """
    kind = table.integer(TENSOR_TYPE, "b")
    index = table.integer(TENSOR_BUFFER, "I")
    start, end = data_span(buffers[index]) if index else (0, 0)  # buffer 0 is nobody's
    scales, zero_points, axis = _quantization(table)
    return Tensor(
        name=table.text(TENSOR_NAME),
        dtype=TENSOR_TYPES[kind] if 0 <= kind < len(TENSOR_TYPES) else f"type {kind}",
        shape=_shape(table),
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        constant=end > start or table.integer(TENSOR_EXTERNAL_BUFFER, "I") > 0,
        size_bytes=end - start,
    )


def _shape(table: Table) -> tuple[int | None, ...]:
    """Returns a tensor's shape; the signature has -1 for a free size where the shape has 1."""
    sizes = table.numbers(TENSOR_SHAPE_SIGNATURE, "i") or table.numbers(TENSOR_SHAPE, "i")
    if len(sizes) > MOST_DIMENSIONS or min(sizes, default=0) < -1:
        raise table.source.damaged(f"a tensor has shape {list(sizes[:MOST_DIMENSIONS])}")
    return tuple(None if size == -1 else size for size in sizes)


def _quantization(table: Table) -> tuple[tuple[float, ...], tuple[int, ...], int | None]:
    parameters = table.table(TENSOR_QUANTIZATION)
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


def operator_code(table: Table) -> tuple[str, int]:
    """Returns an operator's name and version.

    Raises:
        IntegrityError: If it is damaged.
    """
    # Codes past 127 do not fit the older field, which then holds a placeholder that is smaller.
    code = max(table.integer(_CODE_OLD_BUILTIN, "b"), table.integer(_CODE_BUILTIN, "i"))
    if code < 0:
        raise table.source.damaged(f"an operator has the code {code}")
    name = BUILTIN_OPERATORS[code] if code < len(BUILTIN_OPERATORS) else f"BUILTIN_{code}"
    return table.text(_CODE_CUSTOM) if code == CUSTOM else name, table.integer(_CODE_VERSION, "i", 1)


def op_of(table: Table, codes: Sequence[tuple[str, int]], tensors: int) -> Op:
    """Reads an operation of a graph with so many tensors.

    Raises:
        IntegrityError: If it refers to an operator or a tensor that is not there.
    """
    index = table.integer(OPERATOR_CODE, "I")
    if index >= len(codes):
        raise table.source.damaged(f"an operation refers to operator code {index} of {len(codes)}")
    kind, version = codes[index]
    indices = index_reader(table, tensors, lowest=-1)
    return Op(kind, version, indices(OPERATOR_INPUTS), indices(OPERATOR_OUTPUTS))


def index_reader(table: Table, tensors: int, lowest: int) -> Callable[[int], tuple[int, ...]]:
    """Returns what reads the tensor indices of a table's slot, or raises IntegrityError where they are none."""

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
    environment = root(Source(metadata[_CONVERSION], f"{NAME}'s {_CONVERSION}"), None).table(0)
    version = environment.text(0) if environment else ""
    return f"{description} (TensorFlow {version})" if version else description
