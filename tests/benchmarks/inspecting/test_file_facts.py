"""What is read from files is held against what the engines and the `onnx` package say of them."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from liteport.benchmarks.inspecting.file_facts import FileFacts, read_facts
from liteport.errors import IntegrityError


def facts_of(path: Path) -> FileFacts:
    return read_facts(path.read_bytes(), path.suffix)


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-int8", "tflite-dynamic", "tflite-float16"])
def test_counts_what_litert_counts(name: str, tiny_bundle: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = tiny_bundle / f"{name}.tflite"
    facts = facts_of(path)
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    operations = Counter(entry["op_name"] for entry in interpreter._get_ops_details())
    tensors = interpreter.get_tensor_details()
    assert Counter({op.kind: op.count for op in facts.ops}) == operations
    assert sum(facts.dtypes.values()) == len(facts.tensors) == len(tensors)
    scales = [len(entry["quantization_parameters"]["scales"]) for entry in tensors]
    assert facts.per_tensor == scales.count(1)
    assert facts.per_channel == sum(count > 1 for count in scales)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.minimum_runtime is not None


def test_counts_what_onnx_counts(tiny_bundle: Path) -> None:
    import onnx

    path = tiny_bundle / "onnx-int8.onnx"
    facts, model = facts_of(path), onnx.load(path)
    assert Counter({op.kind: op.count for op in facts.ops}) == Counter(node.op_type for node in model.graph.node)
    assert facts.ir_version == model.ir_version
    assert facts.opsets == {entry.domain: entry.version for entry in model.opset_import}
    sizes = Counter[str]()
    for entry in model.graph.initializer:
        array = onnx.numpy_helper.to_array(entry)
        sizes[array.dtype.name] += array.nbytes
    assert facts.constant_bytes == {dtype: size for dtype, size in sizes.items() if size}
    constants = {entry.name for entry in model.graph.initializer}
    undone = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert facts.dequantized_constants == sum(node.input[0] in constants for node in undone)
    assert facts.dequantize_ops == len(undone) - facts.dequantized_constants
    assert facts.qdq_pairs > 0


def test_tells_what_is_left_in_float(tiny_bundle: Path) -> None:
    assert facts_of(tiny_bundle / "tflite-int8.tflite").float_ops == ()
    assert facts_of(tiny_bundle / "tflite-float32.tflite").float_ops == ()  # nothing is quantized: all is float
    found = facts_of(tiny_bundle / "tflite-dynamic.tflite").float_ops
    # The converter leaves weights of fewer than 1,024 elements in float, such as the first layer's.
    assert [(op.layer, op.hybrid) for op in found] == [
        ("conv2d", False),
        ("conv2d_1", True),
        ("output", True),
        ("(output)", False),
    ]


def test_tells_which_layer_is_left_in_float_between_qdq_pairs() -> None:
    from onnx import TensorProto, helper, numpy_helper

    constants = [
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.uint8(128), "zero"),
        numpy_helper.from_array(np.ones((3, 3), np.float32), "m/dense/kernel"),
        numpy_helper.from_array(np.ones((3, 3), np.int8), "m/last/kernel"),
        numpy_helper.from_array(np.int8(0), "weights_zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("Relu", ["xd"], ["m/act/Relu"]),
        helper.make_node("QuantizeLinear", ["m/act/Relu", "scale", "zero"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "scale", "zero"], ["rd"]),
        helper.make_node("MatMul", ["rd", "m/dense/kernel"], ["m/dense/MatMul"]),
        helper.make_node("Tanh", ["m/dense/MatMul"], ["m/tanh/Tanh"]),
        helper.make_node("QuantizeLinear", ["m/tanh/Tanh", "scale", "zero"], ["tq"]),
        helper.make_node("DequantizeLinear", ["tq", "scale", "zero"], ["td"]),
        helper.make_node("DequantizeLinear", ["m/last/kernel", "scale", "weights_zero"], ["kernel"]),
        helper.make_node("MatMul", ["td", "kernel"], ["m/last/MatMul"]),  # integers in, a float result
        helper.make_node("Sigmoid", ["m/last/MatMul"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in "xy"]
    graph = helper.make_graph(nodes, "m", ends[:1], ends[1:], constants)
    facts = read_facts(helper.make_model(graph, ir_version=8).SerializeToString(), ".onnx")
    assert [(op.kind, op.layer) for op in facts.float_ops] == [
        ("MatMul", "dense"),
        ("Tanh", "tanh"),
        ("Sigmoid", "(output)"),
    ]
    assert (facts.quantize_ops, facts.dequantize_ops, facts.qdq_pairs) == (3, 3, 3)
    assert facts.dequantized_constants == 1


def test_counts_narrow_convolutions(tiny_bundle: Path) -> None:
    for name in ("tflite-int8.tflite", "onnx-int8.onnx"):
        facts = facts_of(tiny_bundle / name)
        assert (facts.convolutions, facts.narrow_convolutions) == (2, 0)  # 16 and 32 output channels


def test_refuses_a_damaged_file(tiny_bundle: Path) -> None:
    content = (tiny_bundle / "tflite-int8.tflite").read_bytes()
    with pytest.raises(IntegrityError):
        read_facts(content[:1000], ".tflite")
