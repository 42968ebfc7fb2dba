import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from liteport.export.onnx_passes import tidy

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 4, 5, 6), np.float32)  # channels first: 4 channels of 5x6
MAP: list[int | str] = ["N", 4, 5, 6]
TO_CHANNELS_LAST = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 3, 1])


def constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return constant(name, RNG.random(shape, np.float32))


def model(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    outputs: dict[str, int | list[int | str]],
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of `IMAGES`; an output's size is that of its items where it is (N, size)."""
    shapes = {name: ["N", size] if isinstance(size, int) else size for name, size in outputs.items()}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
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
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
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
    assert tidied(model(nodes, FLATTEN_CONSTANTS, {"y": 120})) == ["Flatten", "Relu"]


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


BACK = {"perm": [0, 3, 1, 2]}
# What may stand between a turn and the turn back: nodes from "turned" to "z", constants, and what is left of them.
BETWEEN: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]] = {
    "unary": ([helper.make_node("Sigmoid", ["turned"], ["z"])], [], ["Sigmoid"]),
    "scalar": ([helper.make_node("Add", ["c", "turned"], ["z"])], [constant("c", np.float32(3))], ["Add"]),
    "per channel": ([helper.make_node("Mul", ["turned", "c"], ["z"])], [weights("c", 4)], ["Mul"]),
    "per pixel": ([helper.make_node("Mul", ["turned", "c"], ["z"])], [weights("c", 5, 6, 1)], ["Mul"]),
    "itself": ([helper.make_node("Mul", ["turned", "turned"], ["z"])], [], ["Mul"]),
    "clip": (
        [helper.make_node("Clip", ["turned", "low", "high"], ["z"])],
        [constant("low", np.float32(0.2)), constant("high", np.float32(0.6))],
        ["Clip"],
    ),
    "mean": (
        [
            helper.make_node("ReduceMean", ["turned"], ["m"], axes=[1, 2], keepdims=1),
            helper.make_node("Mul", ["turned", "m"], ["z"]),
        ],
        [],
        ["GlobalAveragePool", "Mul"],
    ),
    "mean of channels": (
        [
            helper.make_node("ReduceMean", ["turned"], ["m"], axes=[-1], keepdims=1),
            helper.make_node("Sub", ["turned", "m"], ["z"]),
        ],
        [],
        ["ReduceMean", "Sub"],
    ),
    "pad and slice": (
        [
            helper.make_node("Pad", ["turned", "pads"], ["p"]),
            helper.make_node("Slice", ["p", "from", "to", "axes"], ["z"]),
        ],
        [
            constant("pads", [0, 1, 2, 0, 0, 0, 0, 3]),
            constant("from", [1, 2, 0]),
            constant("to", [99, 99, 4]),
            constant("axes", [1, 2, 3]),
        ],
        ["Pad", "Slice"],
    ),
    "split and concat": (
        [
            helper.make_node("Split", ["turned", "halves"], ["a", "b"], axis=3),
            helper.make_node("Concat", ["b", "a"], ["z"], axis=3),
        ],
        [constant("halves", [3, 1])],
        ["Split", "Concat"],
    ),
    "dense": (
        [helper.make_node("MatMul", ["turned", "w"], ["p"]), helper.make_node("Add", ["p", "c"], ["z"])],
        [weights("w", 4, 4), weights("c", 4)],
        ["Conv"],
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_a_turn_goes_past_what_is_between_it_and_the_turn_back(name: str) -> None:
    nodes, constants, left = BETWEEN[name]
    made = [TO_CHANNELS_LAST, *nodes, helper.make_node("Transpose", ["z"], ["y"], **BACK)]
    assert tidied(model(made, constants, {"y": MAP})) == left


@pytest.mark.parametrize(
    ("keepdims", "left"), [(0, ["GlobalAveragePool", "Flatten"]), (1, ["GlobalAveragePool", "Reshape"])]
)
def test_a_global_mean_drops_the_turn(keepdims: int, left: list[str]) -> None:
    nodes = [TO_CHANNELS_LAST, helper.make_node("ReduceMean", ["turned"], ["y"], axes=[1, 2], keepdims=keepdims)]
    assert tidied(model(nodes, [], {"y": ["N", 1, 1, 4] if keepdims else 4})) == left


def test_axes_may_be_an_input() -> None:
    nodes = [TO_CHANNELS_LAST, helper.make_node("ReduceMax", ["turned", "axes"], ["y"], keepdims=0)]
    assert tidied(model(nodes, [constant("axes", [1, 2])], {"y": 4}, opset=18)) == ["ReduceMax"]


def test_a_turn_that_an_output_needs_stays() -> None:
    nodes = [TO_CHANNELS_LAST, helper.make_node("Relu", ["turned"], ["y"])]
    assert tidied(model(nodes, [], {"y": ["N", 5, 6, 4]})) == ["Relu", "Transpose"]


def test_a_turn_of_one_channel_is_a_reshape() -> None:
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["single"]),
        helper.make_node("Transpose", ["single"], ["y"], perm=[0, 2, 3, 1]),
    ]
    made = model(nodes, [constant("zero", [0]), constant("one", [1])], {"y": ["N", 5, 6, 1]})
    assert tidied(made) == ["Slice", "Reshape"]


def convolution(*inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node("Conv", [*inputs], ["c"], **attributes)


NORM = [weights(name, 4) for name in ("gamma", "beta", "mean", "variance")]
FOLDED: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto]]] = {
    "scale": ([helper.make_node("Mul", ["c", "s"], ["y"])], [weights("s", 1, 4, 1, 1)]),
    "scale first": ([helper.make_node("Mul", ["s", "c"], ["y"])], [weights("s", 4, 1, 1)]),
    "divisor": ([helper.make_node("Div", ["c", "s"], ["y"])], [constant("s", np.full((4, 1, 1), 0.3, np.float32))]),
    "offset": ([helper.make_node("Add", ["c", "s"], ["y"])], [constant("s", np.float32(2))]),
    "less": ([helper.make_node("Sub", ["c", "s"], ["y"])], [weights("s", 4, 1, 1)]),
    "batch norm": ([helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["y"])], NORM),
    "all of it": (
        [
            helper.make_node("Add", ["c", "s"], ["d"]),
            helper.make_node("Mul", ["d", "s"], ["e"]),
            helper.make_node("BatchNormalization", ["e", "gamma", "beta", "mean", "variance"], ["y"]),
        ],
        [*NORM, weights("s", 4, 1, 1)],
    ),
}


@pytest.mark.parametrize("bias", [[], ["b"]])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("name", FOLDED)
def test_arithmetic_is_folded_into_the_convolution(name: str, groups: int, bias: list[str]) -> None:
    nodes, constants = FOLDED[name]
    kernel = weights("w", 4, 4 // groups, 3, 3)
    made = [convolution("x", "w", *bias, group=groups, pads=[1, 1, 1, 1]), *nodes]
    assert tidied(model(made, [kernel, weights("b", 4), *constants], {"y": MAP})) == ["Conv"]


@pytest.mark.parametrize("shape", [(1, 1, 5, 6), (1, 4, 5, 6), (6,)])
def test_arithmetic_that_differs_from_pixel_to_pixel_stays(shape: tuple[int, ...]) -> None:
    made = [convolution("x", "w"), helper.make_node("Mul", ["c", "s"], ["y"])]
    assert tidied(model(made, [weights("w", 4, 4, 1, 1), weights("s", *shape)], {"y": MAP})) == ["Conv", "Mul"]


def test_a_number_divided_by_a_convolution_stays() -> None:
    made = [convolution("x", "w"), helper.make_node("Div", ["s", "c"], ["y"])]
    assert tidied(model(made, [weights("w", 4, 4, 1, 1), constant("s", np.float32(2))], {"y": MAP})) == ["Conv", "Div"]


def test_a_convolution_that_something_else_takes_too_is_left_alone() -> None:
    made = [
        convolution("x", "w"),
        helper.make_node("Mul", ["c", "s"], ["y"]),
        helper.make_node("Relu", ["c"], ["z"]),
    ]
    constants = [weights("w", 4, 4, 1, 1), weights("s", 4, 1, 1)]
    assert tidied(model(made, constants, {"y": MAP, "z": MAP})) == ["Conv", "Mul", "Relu"]


@pytest.mark.parametrize(
    ("pads", "fill", "left"),
    [
        ([0, 0, 1, 2, 0, 0, 0, 1], 0, ["Conv"]),
        ([0, 0, 1, 2, 0, 0, 0, 1], 7, ["Pad", "Conv"]),  # not what a convolution pads with
        ([0, 0, -1, 0, 0, 0, 0, 0], 0, ["Pad", "Conv"]),  # takes a row away
        ([0, 1, 0, 0, 0, 0, 0, 0], 0, ["Pad", "Conv"]),  # adds a channel
    ],
)
def test_a_convolution_pads_for_itself(pads: list[int], fill: float, left: list[str]) -> None:
    channels = 4 + pads[1] + pads[5]
    height, width = 5 + pads[2] + pads[6], 6 + pads[3] + pads[7]
    made = [
        helper.make_node("Pad", ["x", "pads", "fill"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["y"], pads=[1, 0, 1, 0]),
    ]
    constants = [constant("pads", pads), constant("fill", np.float32(fill)), weights("w", 3, channels, 3, 1)]
    assert tidied(model(made, constants, {"y": ["N", 3, height, width]})) == left


def test_what_is_on_the_way_to_the_dense_layer_is_reordered_too() -> None:
    nodes = [
        TO_CHANNELS_LAST,
        *computed_flatten(),
        helper.make_node("Mul", ["flat", "each"], ["scaled"]),
        helper.make_node("Relu", ["scaled"], ["active"]),
        helper.make_node("Gemm", ["active", "w"], ["y"], transB=1),
    ]
    constants = [*FLATTEN_CONSTANTS, weights("each", 120), weights("w", 7, 120)]
    assert tidied(model(nodes, constants, {"y": 7})) == ["Flatten", "Mul", "Relu", "Gemm"]


def test_a_dense_layer_on_rows_is_one_product() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["p"]),
        helper.make_node("Reshape", ["p", "whole"], ["y"]),
    ]
    constants = [constant("rows", [-1, 6]), constant("whole", [-1, 4, 5, 3]), weights("w", 6, 3)]
    assert tidied(model(nodes, constants, {"y": ["N", 4, 5, 3]})) == ["MatMul"]


def test_what_a_branch_takes_from_around_it_is_left_alone() -> None:
    result = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    then = helper.make_graph([helper.make_node("Neg", ["a__7"], ["r"])], "then", [], result)
    other = helper.make_graph([helper.make_node("Abs", ["a__7"], ["r"])], "other", [], result)
    nodes = [
        helper.make_node("Relu", ["x"], ["a__7"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=then, else_branch=other),
    ]
    assert tidied(model(nodes, [constant("yes", np.bool_(True))], {"y": MAP})) == ["Relu", "If"]
