"""Costs are held against what the layers' own shapes say, counted by hand or by Keras."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from liteport.benchmarks.limits.costs import count_costs
from liteport.benchmarks.results import LayerCost
from liteport.errors import BackendError, IntegrityError
from liteport.runtime.model_files import joined, read_model

# The tiny model: 13 x 13 x 16 results of 9 products, 6 x 6 x 32 of 144, 10 of 1152.
TINY_MACS = [13 * 13 * 16 * 9, 6 * 6 * 32 * 144, 10 * 1152]
Shape = tuple[int | None, ...]


def costs_of(path: Path) -> tuple[LayerCost, ...]:
    return count_costs(read_model(path), path.suffix)


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("tflite-float32.tflite", ["float32", "float32", "float32"]),
        ("tflite-float16.tflite", ["float32", "float32", "float32"]),  # dequantized before they are multiplied
        ("tflite-dynamic.tflite", ["float32", "int8", "int8"]),  # the first layer's weights are too few to quantize
        ("tflite-int8.tflite", ["int8", "int8", "int8"]),
        ("tflite-int8-float-io.tflite", ["int8", "int8", "int8"]),
        ("tflite-int16x8.tflite", ["int16", "int16", "int16"]),
        ("onnx-float32.onnx", ["float32", "float32", "float32"]),
        ("onnx-float16.onnx", ["float16", "float16", "float16"]),
        ("ncnn-float32.param", ["float32", "float32", "float32"]),
        ("mnn-float32.mnn", ["float32", "float32", "float32"]),
    ],
)
def test_counts_the_same_multiplications_in_every_variant(name: str, compute: list[str], tiny_bundle: Path) -> None:
    multiplying = [layer for layer in costs_of(tiny_bundle / name) if layer.macs]
    assert [layer.macs for layer in multiplying] == TINY_MACS
    assert [layer.compute for layer in multiplying] == compute
    assert [layer.name for layer in multiplying] == ["conv2d", "conv2d_1", "output"]


def test_counts_layers_between_dq_and_q_as_int8(tiny_bundle: Path) -> None:
    multiplying = [layer for layer in costs_of(tiny_bundle / "onnx-int8.onnx") if layer.macs]
    assert [layer.macs for layer in multiplying] == TINY_MACS
    assert "int8" in {layer.compute for layer in multiplying}
    # Between them the integers are what is read and written: 13 x 13 x 16 in, 6 x 6 x 32 out.
    assert multiplying[1].activation_bytes == 13 * 13 * 16 + 6 * 6 * 32


@pytest.mark.parametrize(("name", "size"), [("tflite-float32.tflite", 4), ("tflite-int8.tflite", 1)])
def test_counts_bytes(name: str, size: int, tiny_bundle: Path) -> None:
    first, second, *_ = costs_of(tiny_bundle / name)
    assert first.activation_bytes == size * (28 * 28 + 13 * 13 * 16)
    assert first.constant_bytes == size * 16 * 9 + 4 * 16  # weights, and a bias of float32 or int32
    assert second.activation_bytes == size * (13 * 13 * 16 + 6 * 6 * 32)
    assert second.constant_bytes == size * 32 * 144 + 4 * 32


def test_ncnn_may_compute_3x3_convolutions_by_winograd() -> None:
    cases = {"1=3": "float32 by Winograd", "1=3 3=2": "float32", "1=5": "float32", "1=3 4=1": "float32 by Winograd"}
    for window, compute in cases.items():
        places = 9 if "1=3" in window else 25
        text = f"""7767517
3 3
Input image 0 1 image 0=20 1=20 2=8
Convolution conv 1 1 image conv 0=4 {window} 6={32 * places}
Convolution last 1 1 conv output 0=2 1=1 6=8
"""
        weights = b"".join(bytes(4) + np.ones(count, np.float32).tobytes() for count in (32 * places, 8))
        first, last = count_costs(joined((text.encode(), weights)), ".param")
        assert (first.compute, last.compute) == (compute, "float32")
        size = {"1=3": 18, "1=3 3=2": 9, "1=5": 16, "1=3 4=1": 20}[window]
        assert (first.macs, last.macs) == (size * size * 32 * places, size * size * 8)


def test_leaves_out_what_is_done_when_the_file_is_loaded(tiny_bundle: Path) -> None:
    layers = costs_of(tiny_bundle / "tflite-float16.tflite")
    assert "DEQUANTIZE" not in {layer.kind for layer in layers}
    assert layers[1].constant_bytes == 2 * 32 * 144 + 2 * 32  # as the file has them


@pytest.fixture(scope="module")
def many_kinds() -> tuple[bytes, int]:
    """A TFLite file with the layers that the tiny model lacks, and its multiplications by Keras's shapes."""
    import keras
    import tensorflow as tf
    from keras import layers

    inputs = keras.Input((12, 12, 4), batch_size=1)
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")
    grouped = layers.Conv2D(16, 3, groups=4, strides=2)
    spread = layers.Conv2DTranspose(6, 3, strides=2)
    recurrent = layers.LSTM(5, unroll=True)
    value = spread(grouped(depthwise(inputs)))
    model = keras.Model(inputs, recurrent(layers.Reshape((11, 66))(value)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    expected = (
        math.prod(depthwise.output.shape) * 9
        + math.prod(grouped.output.shape) * 9 * 2  # 8 channels in 4 groups
        + math.prod(spread.input.shape) * 9 * 6
        + (11 * 66 + 10 * 5) * 4 * 5  # steps, inputs and state, four gates; the first step has no state
    )
    return converter.convert(), expected


def test_counts_depthwise_grouped_transposed_and_recurrent_layers(many_kinds: tuple[bytes, int]) -> None:
    content, expected = many_kinds
    layers = count_costs(content, ".tflite")
    assert sum(layer.macs for layer in layers) == expected
    assert {"DEPTHWISE_CONV_2D", "CONV_2D", "TRANSPOSE_CONV"} <= {layer.kind for layer in layers if layer.macs}


def model_of(
    nodes: Sequence[Any],
    shapes: dict[str, Shape],
    constants: dict[str, np.ndarray],
    outputs: Sequence[str] = ("y",),
    elem_type: int = TensorProto.FLOAT,
    domains: Sequence[str] = (),
) -> bytes:
    inputs = [helper.make_tensor_value_info(name, elem_type, shape) for name, shape in shapes.items()]
    # Without a type, as exporters leave it where the engine is to find it out.
    results = [helper.ValueInfoProto(name=name) for name in outputs]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, results, initializers)
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return content


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


node: Callable[..., Any] = helper.make_node
ONNX_CASES = {
    "grouped": ([node("Conv", ["x", "w"], ["y"], group=2)], (None, 4, 8, 8), {"w": ones(6, 2, 3, 3)}, 6 * 36 * 2 * 9),
    "depthwise": ([node("Conv", ["x", "w"], ["y"], group=4)], (None, 4, 8, 8), {"w": ones(4, 1, 3, 3)}, 4 * 36 * 9),
    "dilated": ([node("Conv", ["x", "w"], ["y"], dilations=[2, 2])], (1, 1, 8, 8), {"w": ones(2, 1, 3, 3)}, 2 * 16 * 9),
    "transposed": (
        [node("ConvTranspose", ["x", "w"], ["y"], group=2, strides=[2, 2])],
        (None, 4, 5, 5),
        {"w": ones(4, 3, 3, 3)},
        4 * 25 * 3 * 9,
    ),
    "gemm": ([node("Gemm", ["x", "w"], ["y"], transA=1, transB=1)], (7, 3), {"w": ones(5, 7)}, 3 * 7 * 5),
    "batched": ([node("MatMul", ["x", "x"], ["y"])], (None, 2, 6, 6), {}, 2 * 6 * 6 * 6),
    "vector": ([node("MatMul", ["x", "w"], ["y"])], (7,), {"w": ones(7, 3)}, 7 * 3),
    "recurrent": (
        [node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=5, direction="bidirectional")],
        (9, 1, 3),
        {"w": ones(2, 20, 3), "r": ones(2, 20, 5)},
        9 * 2 * 20 * (3 + 5),
    ),
}


@pytest.mark.parametrize("case", ONNX_CASES)
def test_counts_onnx_operations(case: str) -> None:
    nodes, shape, constants, macs = ONNX_CASES[case]
    (layer,) = count_costs(model_of(nodes, {"x": shape}, constants), ".onnx")
    assert (layer.macs, layer.compute) == (macs, "float32")
    assert layer.constant_bytes == sum(array.nbytes for array in constants.values())


@pytest.mark.parametrize(
    ("quantized", "nodes"),
    [
        (
            "MatMulInteger",
            [
                node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                node("MatMulInteger", ["q", "w", "z"], ["y"]),
            ],
        ),
        (
            "QLinearMatMul",
            [
                node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
                node("QLinearMatMul", ["q", "scale", "zero", "w", "scale", "weights_zero", "scale", "zero"], ["y"]),
            ],
        ),
    ],
)
def test_counts_onnx_operations_on_integers(quantized: str, nodes: Sequence[Any]) -> None:
    constants = {"w": ones(8, 4, dtype=np.int8), "scale": np.float32(0.5), "zero": np.uint8(0)}
    content = model_of(nodes, {"x": (None, 8)}, {**constants, "weights_zero": np.int8(0)})
    found = {layer.kind: layer for layer in count_costs(content, ".onnx") if layer.macs}
    assert (found[quantized].macs, found[quantized].compute) == (32, "int8")


def test_weights_that_are_dequantized_before_a_float_layer_are_multiplied_in_float() -> None:
    nodes = [node("DequantizeLinear", ["w", "scale"], ["d"]), node("MatMul", ["x", "d"], ["y"])]
    content = model_of(nodes, {"x": (None, 8)}, {"w": ones(8, 4, dtype=np.int8), "scale": np.float32(0.5)})
    (layer,) = count_costs(content, ".onnx")
    assert (layer.macs, layer.compute, layer.constant_bytes) == (32, "float32", 32)


def test_names_an_operation_whose_first_result_is_left_out() -> None:
    nodes, shape, constants, _ = ONNX_CASES["recurrent"]
    (layer,) = count_costs(model_of(nodes, {"x": shape}, constants), ".onnx")
    assert layer.name == "(output)"


def test_follows_shapes_that_the_graph_computes() -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["batch"]),
        node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        node("Reshape", ["x", "wanted"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
    ]
    constants = {"first": np.array([0]), "rest": np.array([-1]), "w": ones(12, 5)}
    layers = count_costs(model_of(nodes, {"x": (None, 3, 4)}, constants), ".onnx")
    assert Counter({layer.kind: layer.macs for layer in layers})["MatMul"] == 60


def test_elementwise_operations_pass_values_on() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("MaxPool", ["r"], ["y"], kernel_shape=[2, 2]),
    ]
    layers = count_costs(model_of(nodes, {"x": (None, 1, 8, 8)}, {"w": ones(2, 1, 3, 3)}), ".onnx")
    sizes = {layer.kind: layer.activation_bytes for layer in layers}
    assert sizes == {"Conv": 4 * (64 + 2 * 36), "Relu": 0, "MaxPool": 4 * 2 * (36 + 25)}


def test_counts_nothing_where_a_size_is_free() -> None:
    content = model_of([node("Conv", ["x", "w"], ["y"])], {"x": (None, 1, None, 8)}, {"w": ones(2, 1, 3, 3)})
    assert count_costs(content, ".onnx") == ()


def test_counts_nothing_of_a_graph_within_the_graph() -> None:
    branch = helper.make_graph([node("MatMul", ["x", "w"], ["b"])], "b", [], [helper.ValueInfoProto(name="b")])
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Cast", ["sum"], ["condition"], to=TensorProto.BOOL),
        node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert count_costs(model_of(nodes, {"x": (None, 8)}, {"w": ones(8, 4)}), ".onnx") == ()


def test_counts_nothing_of_operations_of_unknown_sets() -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("BiasGelu", ["r", "b"], ["y"], domain="com.microsoft")]
    assert count_costs(model_of(nodes, {"x": (None, 8)}, {"b": ones(8)}, domains=["com.microsoft"]), ".onnx") == ()


def test_refuses_what_the_engine_refuses() -> None:
    with pytest.raises(BackendError, match="onnxruntime cannot run this model"):
        count_costs(model_of([node("MatMul", ["x", "w"], ["y"])], {"x": (None, 8)}, {"w": ones(7, 4)}), ".onnx")
    with pytest.raises(IntegrityError):
        count_costs(b"no model", ".tflite")
