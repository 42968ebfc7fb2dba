from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from liteport.export.onnx_graph import tidy

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 4, 5, 6), np.float32)  # channels first: 4 channels of 5x6
TO_CHANNELS_LAST = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 3, 1])


def constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return constant(name, RNG.random(shape, np.float32))


def model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], outputs: dict[str, int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in outputs.items()],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def answers(of: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(of.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": IMAGES})


def tidied(before: onnx.ModelProto) -> list[str]:
    """Tidies, holds the answers against those of before, and returns the operations left."""
    expected = answers(before)
    after = tidy(before)
    onnx.checker.check_model(after, full_check=True)
    for one, other in zip(answers(after), expected, strict=True):
        # sums of 120 products in another order: some units in the last place of about 30
        np.testing.assert_allclose(one, other, rtol=1e-5)
    return [node.op_type for node in after.graph.node]


def computed_flatten() -> list[onnx.NodeProto]:
    """Flatten as tf2onnx writes it: with a shape that is computed while the model runs."""
    return [
        helper.make_node("Shape", ["turned"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "features"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["turned", "wanted"], ["flat"]),
    ]


FLATTEN_CONSTANTS = [constant("zero", [0]), constant("one", [1]), constant("features", [120])]


def test_the_turn_before_flatten_goes_into_the_dense_layers_rows() -> None:
    nodes = [
        TO_CHANNELS_LAST,
        *computed_flatten(),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    assert tidied(model(nodes, [*FLATTEN_CONSTANTS, weights("w", 120, 7), weights("b", 7)], {"y": 7})) == [
        "Flatten",
        "Gemm",
    ]


def test_two_dense_layers_may_share_a_flatten_and_its_weights() -> None:
    nodes = [
        TO_CHANNELS_LAST,
        *computed_flatten(),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
    ]
    assert "Transpose" not in tidied(model(nodes, [*FLATTEN_CONSTANTS, weights("w", 120, 7)], {"y": 7, "z": 7}))


def test_a_flattened_value_that_is_also_an_output_keeps_its_order() -> None:
    nodes = [TO_CHANNELS_LAST, *computed_flatten(), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    left = tidied(model(nodes, [*FLATTEN_CONSTANTS, weights("w", 120, 7)], {"y": 7, "flat": 120}))
    assert "Transpose" in left


def test_a_flattened_value_that_something_else_takes_keeps_its_order() -> None:
    nodes = [TO_CHANNELS_LAST, *computed_flatten(), helper.make_node("CumSum", ["flat", "axis"], ["y"])]
    assert "Transpose" in tidied(model(nodes, [*FLATTEN_CONSTANTS, constant("axis", np.int64(1))], {"y": 120}))


def test_flatten_without_a_turn_needs_no_dense_layer() -> None:
    nodes = [helper.make_node("Identity", ["x"], ["turned"]), *computed_flatten()]
    nodes.append(helper.make_node("Relu", ["flat"], ["y"]))
    assert tidied(model(nodes, FLATTEN_CONSTANTS, {"y": 120})) == ["Identity", "Flatten", "Relu"]


@pytest.mark.parametrize("shape", [[-1, 60], [0, 8, 15]])
def test_other_reshapes_are_left_alone(shape: list[int]) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "wanted"], ["reshaped"]),
        helper.make_node("ReduceMean", ["reshaped"], ["y"], axes=list(range(1, len(shape))), keepdims=0),
        helper.make_node("Identity", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5, 6])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["M"])],
        [constant("wanted", shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert "Reshape" in tidied(made)


def test_a_product_that_something_else_takes_too_stays_a_product() -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
        helper.make_node("Relu", ["product"], ["z"]),
    ]
    assert "Gemm" not in tidied(model(nodes, [weights("w", 120, 7), weights("b", 7)], {"y": 7, "z": 7}))


def test_names_lose_their_counters_and_stay_unique() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a__1:0"]),
        helper.make_node("Relu", ["a__1:0"], ["a__2:0"]),
        helper.make_node("Flatten", ["a__2:0"], ["y"]),
    ]
    made = model(nodes, [], {"y": 120})
    expected = answers(made)
    after = tidy(made)
    assert [list(node.output) for node in after.graph.node] == [["a"], ["a_2"], ["y"]]
    np.testing.assert_array_equal(answers(after)[0], expected[0])


@pytest.mark.parametrize("variant", ["onnx-float32", "onnx-float16", "onnx-int8"])
def test_a_convolutional_classifier_has_no_transpose_and_no_computed_shape(tiny_bundle: Path, variant: str) -> None:
    kinds = {node.op_type for node in onnx.load(tiny_bundle / f"{variant}.onnx").graph.node}
    assert not kinds & {"Transpose", "Shape", "Gather", "Slice", "Concat", "MatMul", "Add"}
    assert {"Conv", "Flatten", "Gemm"} <= kinds
