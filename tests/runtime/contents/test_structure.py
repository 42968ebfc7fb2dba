"""What is checked of a lone file before a native engine gets it: nothing that is in order is refused."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from liteport.errors import IntegrityError, InvalidInputError
from liteport.runtime.contents import check_structure
from liteport.runtime.contents.tflite_layouts import MORE_OPTIONS, OPTIONS
from liteport.runtime.contents.tflite_names import BUILTIN_OPERATORS

OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
Edit = Callable[[Any], None]


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _op(model: Any, kind: str) -> Any:
    graph = model.subgraphs[0]
    return next(op for op in graph.operators if OPERATORS[model.operatorCodes[op.opcodeIndex].builtinCode] == kind)


def _conv(model: Any) -> Any:
    return _op(model, "CONV_2D")


def _tensor(model: Any, index: int) -> Any:
    return model.subgraphs[0].tensors[index]


def _filter(model: Any) -> Any:
    return _tensor(model, _conv(model).inputs[1])


def _result(model: Any) -> Any:
    return _tensor(model, _conv(model).outputs[0])


def _buffer_of(model: Any, tensor: Any) -> Any:
    return model.buffers[tensor.buffer]


@pytest.fixture(scope="module")
def healthy(tiny_bundle: Path) -> bytes:
    return (tiny_bundle / "tflite-int8.tflite").read_bytes()


@pytest.fixture
def model(healthy: bytes) -> Any:
    """The parts of a classifier, which tests may change."""
    model = schema.ModelT.InitFromPackedBuf(healthy, 0)
    for op in model.subgraphs[0].operators:
        op.inputs, op.outputs = list(map(int, op.inputs)), list(map(int, op.outputs))
    return model


def test_every_variant_passes(tiny_bundle: Path) -> None:
    files = [path for path in tiny_bundle.iterdir() if path.suffix in (".tflite", ".onnx")]
    assert len(files) >= 8
    for path in files:
        check_structure(path.read_bytes(), path.suffix)


def test_models_of_other_makers_pass() -> None:
    """Those inside the onnx package, written by other exporters through ten years: control flow, old opsets."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    files = [path for path in sorted(folder.rglob("model.onnx"))[::4] if path.stat().st_size < 100_000]
    assert len(files) >= 30
    for path in files:
        check_structure(path.read_bytes(), ".onnx")


def test_another_suffix_is_told() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown suffix of model files '\.h5'"):
        check_structure(b"", ".h5")


def test_the_table_of_options_is_that_of_the_schema() -> None:
    for union, table in ((schema.BuiltinOptions, OPTIONS), (schema.BuiltinOptions2, MORE_OPTIONS)):
        assert set(table) <= {number for number in vars(union).values() if isinstance(number, int)}
        for options in table.values():
            assert set(options.operators) <= set(BUILTIN_OPERATORS)


def _no_options(model: Any) -> None:
    _conv(model).builtinOptions, _conv(model).builtinOptionsType = None, 0


def _other_options(model: Any) -> None:
    _conv(model).builtinOptions, _conv(model).builtinOptionsType = (
        schema.AddOptionsT(),
        schema.BuiltinOptions.AddOptions,
    )


def _cut_data(model: Any) -> None:
    buffer = _buffer_of(model, _filter(model))
    buffer.data = buffer.data[:-1]


def _no_data(model: Any) -> None:
    _buffer_of(model, _filter(model)).data = None


def _fewer_scales(model: Any) -> None:
    parameters = _filter(model).quantization
    parameters.scale, parameters.zeroPoint = parameters.scale[:-1], parameters.zeroPoint[:-1]


def _float_result(model: Any) -> None:
    _result(model).type, _result(model).quantization = schema.TensorType.FLOAT32, None


def _circle(model: Any) -> None:
    _conv(model).inputs[0] = int(model.subgraphs[0].outputs[0])


def _calls_itself(model: Any) -> None:
    model.operatorCodes.append(schema.OperatorCodeT())
    code, op = model.operatorCodes[-1], schema.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.WHILE, 119, 1
    op.opcodeIndex, op.builtinOptionsType = len(model.operatorCodes) - 1, schema.BuiltinOptions.WhileOptions
    op.builtinOptions, op.inputs, op.outputs = schema.WhileOptionsT(), [], []
    op.builtinOptions.condSubgraphIndex = op.builtinOptions.bodySubgraphIndex = 0
    model.subgraphs[0].operators.append(op)


def _other_file(model: Any) -> None:
    group, buffer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name, buffer.id, buffer.group = "../../etc/passwd", 1, 0
    model.externalBufferGroups, model.externalBuffers = [group], [buffer]


def put(target: Callable[[Any], Any], name: str, value: Any) -> Edit:
    return lambda model: setattr(target(model), name, value)


TFLITE_EDITS: dict[str, tuple[Edit, str]] = {
    "no options": (_no_options, "CONV_2D has options of type 0, not 1"),
    "another operator's options": (_other_options, "CONV_2D has options of type 11, not 1"),
    "stride 0": (put(lambda m: _conv(m).builtinOptions, "strideW", 0), "the option 0, expected 1 to 32768"),
    "dilation": (put(lambda m: _conv(m).builtinOptions, "dilationHFactor", -1), "the option -1, expected 1 to"),
    "activation": (
        put(lambda m: _conv(m).builtinOptions, "fusedActivationFunction", 77),
        "the option 77, expected 0 to 5",
    ),
    "no image": (lambda m: _conv(m).inputs.__setitem__(0, -1), "CONV_2D, lacks an input"),
    "no filter": (lambda m: _conv(m).inputs.__setitem__(1, -1), "CONV_2D, lacks an input"),
    "tensor 999": (lambda m: _conv(m).inputs.__setitem__(2, 999), "refers to a tensor that is none of its"),
    "a circle": (_circle, "before anything makes it"),
    "first operation gone": (lambda m: m.subgraphs[0].operators.pop(0), "before anything makes it"),
    "an operation twice": (lambda m: m.subgraphs[0].operators.append(_conv(m)), "is not its own"),
    "no operation": (put(lambda m: m.subgraphs[0], "operators", []), "nothing makes its output"),
    "data cut": (_cut_data, "bytes of data, expected"),
    "no data": (_no_data, "before anything makes it"),
    "negative size": (put(_result, "shape", [1, -13, 13, 16]), "a tensor has shape|is int8"),
    "size 2^40": (put(_result, "shape", [1, 1 << 20, 1 << 20, 16]), "also stated as"),
    "a tensor of 4 GiB": (
        lambda m: (put(_result, "shape", [1, 1 << 16, 1 << 16, 1])(m), put(_result, "shapeSignature", None)(m)),
        "takes more than 2 GiB",
    ),
    "unknown type": (put(_result, "type", 99), "is type 99"),
    "channels along dimension 9": (put(lambda m: _filter(m).quantization, "quantizedDimension", 9), "scales along"),
    "a scale missing": (_fewer_scales, "scales along dimension 0"),
    "no scale": (put(_result, "quantization", None), "CONV_2D, needs a scale of"),
    "scale 0": (put(lambda m: _result(m).quantization, "scale", [0.0]), "whose scale is 0"),
    "scale NaN": (put(lambda m: _result(m).quantization, "scale", [np.nan]), "scales or zero points that int8 cannot"),
    "scale 1e30": (put(lambda m: _result(m).quantization, "scale", [1e30]), "scales or zero points that int8 cannot"),
    "zero point 1000": (put(lambda m: _result(m).quantization, "zeroPoint", [1000]), "scales or zero points that int8"),
    "float from int8": (_float_result, "CONV_2D, makes float32 of int8"),
    "version 0": (put(lambda m: m.operatorCodes[0], "version", 0), "version 0 of an operator"),
    "signature of no graph": (put(lambda m: m.signatureDefs[0], "subgraphIndex", 3), "refers to graph 3 of 1"),
    "signature of no tensor": (
        put(lambda m: m.signatureDefs[0].inputs[0], "tensorIndex", 999),
        "a signature refers to a tensor",
    ),
    "a graph calls itself": (_calls_itself, "its graphs call themselves"),
    "another file": (_other_file, "keeps data in other files, which is not read"),
    "metadata of no buffer": (put(lambda m: m.metadata[0], "buffer", 999), "it refers to entry 999"),
}


@pytest.mark.parametrize("edit", TFLITE_EDITS)
def test_a_tflite_file_that_contradicts_itself_is_told(edit: str, model: Any) -> None:
    check_structure(_packed(model), ".tflite")  # it is the edit that is refused
    change, message = TFLITE_EDITS[edit]
    change(model)
    with pytest.raises(IntegrityError, match=message) as caught:
        check_structure(_packed(model), ".tflite")
    assert len(str(caught.value)) < 500


def _sparse_tflite(segments: list[int], indices: list[int], values: int) -> bytes:
    """A float matrix (4, 8), stored row by row with a list of the columns that each row has, and densified."""
    tensor, dense, out = schema.TensorT(), schema.TensorT(), schema.SubGraphT()
    for entry, name, buffer in ((tensor, "sparse", 1), (dense, "dense", 0)):
        entry.name, entry.shape, entry.type, entry.buffer = name, [4, 8], schema.TensorType.FLOAT32, buffer
    rows, columns, sparsity = schema.DimensionMetadataT(), schema.DimensionMetadataT(), schema.SparsityParametersT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, 4
    columns.format, columns.arraySegmentsType, columns.arrayIndicesType = schema.DimensionType.SPARSE_CSR, 3, 2
    columns.arraySegments, columns.arrayIndices = schema.Uint8VectorT(), schema.Uint16VectorT()
    columns.arraySegments.values, columns.arrayIndices.values = segments, indices
    sparsity.traversalOrder, sparsity.blockMap, sparsity.dimMetadata = [0, 1], [], [rows, columns]
    tensor.sparsity = sparsity
    code, op, model = schema.OperatorCodeT(), schema.OperatorT(), schema.ModelT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.DENSIFY, 124, 1
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    out.tensors, out.inputs, out.outputs, out.operators = [tensor, dense], [], [1], [op]
    model.version, model.subgraphs, model.operatorCodes = 3, [out], [code]
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.zeros(4 * values, np.uint8)
    return _packed(model)


def test_sparse_data_is_checked() -> None:
    check_structure(_sparse_tflite([0, 2, 2, 3, 4], [0, 7, 3, 1], 4), ".tflite")
    for segments, indices, values, message in (
        ([0, 2, 2, 3, 4], [0, 7, 3, 1], 5, "20 bytes of data, expected 16"),
        ([0, 2, 2, 3, 4], [0, 8, 3, 1], 4, "indices that a dimension of 8 does not have"),
        ([0, 2, 1, 3, 4], [0, 7, 3, 1], 4, "indices that a dimension of 8 does not have"),
        ([0, 2, 3, 4], [0, 7, 3, 1], 4, "indices that a dimension of 8 does not have"),
        ([0, 2, 2, 3, 9], [0, 7, 3, 1], 4, "indices that a dimension of 8 does not have"),
    ):
        with pytest.raises(IntegrityError, match=message):
            check_structure(_sparse_tflite(segments, indices, values), ".tflite")


VALUE = helper.make_tensor_value_info


def _onnx(nodes: list[Any], constants: list[Any] = [], functions: list[Any] = [], **changes: Any) -> bytes:  # noqa: B006
    graph = helper.make_graph(
        nodes, "g", [VALUE("x", TensorProto.FLOAT, ["N", 3])], [VALUE("y", TensorProto.FLOAT, None)], constants
    )
    opsets = changes.get("opsets", [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)])
    content: bytes = helper.make_model(
        graph, ir_version=8, opset_imports=opsets, functions=functions
    ).SerializeToString()
    return content


def _node(kind: str = "Relu", inputs: str = "x", outputs: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def _constant(**fields: Any) -> Any:
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), "w")
    for name, value in fields.items():
        if name == "dims":
            tensor.dims[:] = value
        else:
            setattr(tensor, name, value)
    return tensor


def _external() -> Any:
    tensor = _constant(data_location=TensorProto.EXTERNAL)
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def _sparse(indices: list[int]) -> Any:
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [2], indices), [2, 3])


def _nested(depth: int) -> Any:
    end = graph = helper.make_graph([_node()], "inner", [], [VALUE("y", TensorProto.FLOAT, None)])
    for _ in range(depth):
        branch = _node("If", "x", "y", then_branch=graph, else_branch=end)
        graph = helper.make_graph([branch], "inner", [], [VALUE("y", TensorProto.FLOAT, None)])
    return graph


def _function(name: str, body: list[Any]) -> Any:
    return helper.make_function(
        "my", name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    )


def _bomb(levels: int) -> list[Any]:
    """Functions that each call the next one twice."""
    twice = [
        _function(f"F{i}", [_node(f"F{i + 1}", "a", "c", domain="my"), _node(f"F{i + 1}", "c", "b", domain="my")])
        for i in range(levels)
    ]
    return [*twice, _function(f"F{levels}", [_node("Relu", "a", "b")])]


CALL = _node("F0", domain="my")
ONNX_GOOD = {
    "one node": _onnx([_node()]),
    "a constant": _onnx([_node("Add", "x w")], [_constant()]),
    "4 bits": _onnx([_node()], [helper.make_tensor("w", TensorProto.INT4, [3], [1, -2, 3])]),
    "texts": _onnx([_node()], [helper.make_tensor("w", TensorProto.STRING, [2], [b"a", b"bc"])]),
    "numbers of each kind": _onnx(
        [_node()],
        [
            helper.make_tensor(name, getattr(TensorProto, name), [2], [1, 0])
            for name in ("FLOAT", "INT64", "DOUBLE", "BOOL", "FLOAT16", "UINT64", "COMPLEX64", "INT16")
        ],
    ),
    "functions": _onnx([CALL], functions=_bomb(4)),
    "graphs in graphs": _onnx([_node("If", "x", "y", then_branch=_nested(3), else_branch=_nested(1))]),
    "sparse": _onnx([_node("Constant", "", "w", sparse_value=_sparse([0, 5])), _node("Add", "x w")]),
}
ONNX_BAD: dict[str, tuple[bytes, str]] = {
    "name from nowhere": (_onnx([_node(inputs="z")]), "'z' is used before anything makes it"),
    "wrong order": (_onnx([_node(inputs="h"), _node(outputs="h")]), "'h' is used before anything makes it"),
    "made twice": (_onnx([_node(), _node()]), "'y' is made twice"),
    "no output": (_onnx([_node(outputs="z")]), "'y' is used before anything makes it"),
    "input made": (_onnx([_node(outputs="x"), _node()]), "'x' is made twice"),
    "unnamed operator set": (_onnx([_node(domain="theirs")]), "'Relu' of an unnamed set 'theirs'"),
    "operator set 0": (_onnx([_node()], opsets=[helper.make_opsetid("", 0)]), "an operator set without a version"),
    "no operator": (_onnx([_node("")]), "it uses the operator ''"),
    "more shape than data": (_onnx([_node()], [_constant(dims=[2, 4])]), "data of size 24, expected 32 for float32"),
    "wider type": (_onnx([_node()], [_constant(data_type=TensorProto.DOUBLE)]), "size 24, expected 48 for float64"),
    "no type": (_onnx([_node()], [_constant(data_type=0)]), "is of no type"),
    "negative size": (_onnx([_node()], [_constant(dims=[-2, -3])]), "has shape"),
    "one name twice": (_onnx([_node()], [_constant(), _constant()]), "have one name"),
    "data in another file": (
        _onnx([_node()], [_external()]),
        "in another file, '../../etc/passwd' for 'w', which is not",
    ),
    "index outside": (
        _onnx([_node("Constant", "", "w", sparse_value=_sparse([0, 6])), _node("Add", "x w")]),
        "has indices that do not lie in its shape",
    ),
    "deep": (_onnx([_node("If", "x", "y", then_branch=_nested(20), else_branch=_nested(0))]), "more than 16 deep"),
    "a function that calls itself": (
        _onnx([CALL], functions=[_function("F0", [_node("F0", "a", "b", domain="my")])]),
        "its graphs call themselves",
    ),
    "functions without end": (_onnx([CALL], functions=_bomb(25)), "stand for more than 1048576 operations"),
    "function of an unknown name": (
        _onnx([CALL], functions=[_function("F0", [_node("Relu", "q", "b")])]),
        "'q' is used",
    ),
}


@pytest.mark.parametrize("name", ONNX_GOOD)
def test_an_onnx_file_in_order_passes(name: str) -> None:
    check_structure(ONNX_GOOD[name], ".onnx")


@pytest.mark.parametrize("name", ONNX_BAD)
def test_an_onnx_file_that_contradicts_itself_is_told(name: str) -> None:
    content, message = ONNX_BAD[name]
    with pytest.raises(IntegrityError, match=message) as caught:
        check_structure(content, ".onnx")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_damage_is_told_or_harmless(suffix: str, tiny_bundle: Path) -> None:
    """Whatever is in the file, the check answers or raises IntegrityError; most damage outside of weights is found."""
    content = (tiny_bundle / f"{suffix[1:]}-int8{suffix}").read_bytes()
    draw = random.Random(6)
    messages = []
    for number in range(250):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 8, 64))):
            damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        try:
            check_structure(bytes(damaged[: draw.randrange(len(content))] if number % 5 == 0 else damaged), suffix)
        except IntegrityError as error:
            messages.append(str(error))
    assert len(messages) >= 50  # the truncations at least
    assert all(len(message) < 500 for message in messages)
