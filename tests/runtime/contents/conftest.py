"""Small model files of each kind with everything the readers know, made by the formats' own libraries."""

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper


def _tensor(name: str, kind: int, shape: list[int], buffer: int = 0, signature: list[int] | None = None) -> object:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.shape, tensor.buffer, tensor.shapeSignature = name, kind, shape, buffer, signature
    return tensor


def _quantization(scale: list[float], zero_point: list[int], axis: int = 0) -> object:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint, parameters.quantizedDimension = scale, zero_point, axis
    return parameters


def _code(builtin: int, custom: str | None = None, version: int = 1) -> object:
    code = schema.OperatorCodeT()
    # What converters write: codes past 127 only in the newer field, with a placeholder in the older.
    code.deprecatedBuiltinCode, code.builtinCode = min(builtin, 127), builtin
    code.customCode, code.version = custom, version
    return code


def _operator(code: int, inputs: list[int], outputs: list[int]) -> object:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _buffer(data: bytes | None = None) -> object:
    buffer = schema.BufferT()
    buffer.data = None if data is None else np.frombuffer(data, np.uint8)
    return buffer


@pytest.fixture(scope="session")
def small_tflite() -> bytes:
    """Three operations, one of them custom; a weight per channel; metadata. Nothing that could run."""
    graph = schema.SubGraphT()
    kinds = schema.TensorType
    graph.tensors = [
        _tensor("in", kinds.INT8, [1, 2, 2, 3], signature=[-1, 2, 2, 3]),
        _tensor("weight", kinds.INT8, [2, 1, 1, 3], buffer=1),
        _tensor("höher", kinds.INT4, [1, 2, 2, 2]),
        _tensor("scalar", kinds.BFLOAT16, []),
        _tensor("out", kinds.FLOAT32, [1, 2, 2, 2]),
    ]
    graph.tensors[0].quantization = _quantization([0.5], [-3])
    graph.tensors[1].quantization = _quantization([0.25, 2.0], [0, 0], axis=0)
    graph.tensors[2].quantization = _quantization([0.25, 0.5], [7], axis=3)
    graph.inputs, graph.outputs = [0], [4]
    graph.operators = [_operator(0, [0, 1, -1], [2]), _operator(1, [2], [3]), _operator(2, [3], [4])]
    model = schema.ModelT()
    model.version, model.description, model.subgraphs = 3, "made by hand", [graph]
    operators = schema.BuiltinOperator
    model.operatorCodes = [
        _code(operators.CONV_2D, version=5),
        _code(operators.CUSTOM, "Mine"),
        _code(operators.STABLEHLO_CASE),
    ]
    model.buffers = [_buffer(), _buffer(b"\1\2\3\4\5\6"), _buffer(b"1.14.0".ljust(16, b"\0")), _buffer(b"note")]
    model.metadata = []
    for name, buffer in (("min_runtime_version", 2), ("note", 3)):
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, buffer
        model.metadata.append(entry)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def small_onnx() -> bytes:
    """Q and DQ nodes per tensor and per channel, constants of every kind that the reader knows, an absent input."""
    bfloat16 = helper.make_tensor(
        "scale16", TensorProto.BFLOAT16, [], np.array([0x3E80], np.uint16).tobytes(), raw=True
    )
    constants = [
        numpy_helper.from_array(np.array([0.5, 0.25], np.float32), "scales"),
        helper.make_tensor("zeros", TensorProto.INT8, [2], [1, -2]),
        numpy_helper.from_array(np.zeros((3, 2), np.int8), "weight"),
        helper.make_tensor("half", TensorProto.FLOAT16, [], [0.125]),
        helper.make_tensor("four", TensorProto.INT4, [], [-7]),
        bfloat16,
    ]
    nodes = [
        helper.make_node("Constant", [], ["step"], value_float=0.5),
        helper.make_node("Constant", [], ["size"], value_ints=[1, 6]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array(128, np.uint8), "inner")),
        helper.make_node("QuantizeLinear", ["in", "step", "zero"], ["in_q"], name="q"),
        helper.make_node("DequantizeLinear", ["in_q", "step", "zero"], ["in_f"]),
        helper.make_node("DequantizeLinear", ["weight", "scales", "zeros"], ["weight_f"], axis=-1),
        helper.make_node("MatMul", ["in_f", "weight_f"], ["product"]),
        helper.make_node("QuantizeLinear", ["product", "scale16"], ["plain_q"]),
        helper.make_node("QuantizeLinear", ["in_f", "half", "four"], ["narrow_q"]),
        helper.make_node("Clip", ["product", "", "step"], ["clipped"]),
        helper.make_node("Mine", ["clipped"], ["out"], domain="my.own"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("in", TensorProto.FLOAT, ["N", 3]), value("scales", TensorProto.FLOAT, [2])],
        [value("out", TensorProto.FLOAT, [None, 2])],
        constants,
    )
    opsets = [helper.make_opsetid("ai.onnx", 21), helper.make_opsetid("my.own", 4)]
    model = helper.make_model(graph, producer_name="hand", producer_version="1", opset_imports=opsets)
    helper.set_model_props(model, {"note": "nöte", "empty": ""})
    content: bytes = onnx.ModelProto.SerializeToString(model)
    return content
