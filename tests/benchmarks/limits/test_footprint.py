"""The least memory of values, by graphs small enough to add up by hand and beside a real memory plan."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from liteport.benchmarks.limits.footprint import activation_bytes


def of_nodes(*nodes: object, size: int | None = 100, **constants: np.ndarray) -> int | None:
    """Of a graph from x, `(1, size)` float32, to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, size])
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [helper.ValueInfoProto(name="y")], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return activation_bytes(model.SerializeToString(), ".onnx")


node = helper.make_node
WIDE, NARROW = np.ones((100, 300), np.float32), np.ones((300, 50), np.float32)


def test_a_value_is_freed_after_its_last_use() -> None:
    nodes = node("MatMul", ["x", "wide"], ["a"]), node("MatMul", ["a", "narrow"], ["y"])
    assert of_nodes(*nodes, wide=WIDE, narrow=NARROW) == 4 * (100 + 300)  # x is gone when y comes


def test_a_value_that_is_needed_later_stays() -> None:
    nodes = (
        node("MatMul", ["x", "wide"], ["a"]),
        node("MatMul", ["a", "back"], ["b"]),
        node("Concat", ["x", "b"], ["y"], axis=1),
    )
    found = of_nodes(*nodes, wide=WIDE, back=np.ones((300, 100), np.float32))
    assert found == 4 * (100 + 300 + 100)


def test_elementwise_operations_work_in_place() -> None:
    nodes = node("MatMul", ["x", "wide"], ["a"]), node("Relu", ["a"], ["r"]), node("Add", ["r", "bias"], ["y"])
    assert of_nodes(*nodes, wide=WIDE, bias=np.ones(300, np.float32)) == 4 * (100 + 300)


def test_a_sum_takes_the_place_of_a_summand() -> None:
    square = np.ones((100, 100), np.float32)
    nodes = node("MatMul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["b"]), node("Add", ["a", "b"], ["y"])
    assert of_nodes(*nodes, w=square) == 4 * (100 + 100)


def test_between_q_and_dq_the_integers_count() -> None:
    constants = {"scale": np.array(1, np.float32), "zero": np.array(0, np.uint8)}
    nodes = (
        node("MatMul", ["x", "wide"], ["a"]),
        node("QuantizeLinear", ["a", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        node("MatMul", ["d", "narrow"], ["y"]),
    )
    assert of_nodes(*nodes, wide=WIDE, narrow=NARROW, **constants) == 4 * 100 + 300


def test_is_unknown_where_a_size_is() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])
    graph = helper.make_graph([node("Relu", ["x"], ["y"])], "g", [x], [helper.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert activation_bytes(model.SerializeToString(), ".onnx") is None


def test_a_real_plan_needs_no_less(tiny_bundle: Path) -> None:
    header = tiny_bundle / "c-array.h"
    if not header.exists():
        pytest.skip("tflite-micro has packages for Linux x86_64 only")
    found = re.search(r"ARENA_BYTES (\d+)", header.read_text())
    assert found is not None
    least = activation_bytes((tiny_bundle / "tflite-int8.tflite").read_bytes(), ".tflite")
    assert least == 13 * 13 * 16 + 6 * 6 * 32  # the second convolution's input and output, both int8
    # Besides values, the arena holds what the interpreter keeps of each operation: a few kB.
    assert least < int(found[1]) < least + 16_000
