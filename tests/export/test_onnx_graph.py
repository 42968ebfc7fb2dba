import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from liteport.export.onnx_graph import Graph, attribute, axes_of, set_attribute


def graph(*nodes: onnx.NodeProto) -> Graph:
    inner = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1]), "axes"), numpy_helper.from_array(np.array([9]), "idle")],
    )
    return Graph(helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


CHAIN = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]


def test_shapes_tell_free_sizes_from_unknown_ranks() -> None:
    looked = graph(*CHAIN)
    assert looked.shape("a") == [None, 2, 3]
    assert looked.shape("axes") == [1]
    assert looked.shape("nothing") is None


def test_makers_and_takers_follow_edits() -> None:
    edited = graph(*CHAIN)
    negation = edited.producer("y")
    assert edited.only_consumer("a") is negation
    made = edited.insert(negation, "Abs", ["a"], [None, 2, 3])
    edited.set_inputs(negation, [made])
    assert [node.op_type for node in edited.nodes] == ["Relu", "Abs", "Neg"]
    assert edited.only_consumer(made).op_type == "Neg"
    assert edited.only_consumer("a").op_type == "Abs"
    assert edited.shape(made) == [None, 2, 3]
    assert edited.rewire(made, "a")
    edited.drop_unused()
    assert [node.op_type for node in edited.nodes] == ["Relu", "Neg"]


def test_an_output_is_nobodys_alone_and_cannot_be_rewired() -> None:
    looked = graph(*CHAIN, helper.make_node("Abs", ["y"], ["z"]))
    assert looked.only_consumer("y") is None
    assert not looked.rewire("y", "a")


def test_unused_nodes_and_constants_are_dropped() -> None:
    cleaned = graph(*CHAIN, helper.make_node("Abs", ["a"], ["z"]), helper.make_node("Abs", ["z"], ["zz"]))
    cleaned.drop_unused()
    assert [node.op_type for node in cleaned.nodes] == ["Relu", "Neg"]
    assert not cleaned.model.graph.initializer


def test_names_of_made_up_values_read_like_what_they_came_from() -> None:
    renamed = graph(*CHAIN)
    once = renamed.fresh("a")
    assert once != "a"
    assert renamed.fresh(once) != once
    renamed.set_output(renamed.producer("a"), once, None)
    renamed.set_inputs(renamed.producer("y"), [once])
    renamed.rename()
    assert renamed.producer("y").input[0] == "a"


def test_axes_are_an_attribute_or_a_constant_input() -> None:
    by_attribute = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2])
    by_input = helper.make_node("ReduceSum", ["x", "axes"], ["y"])
    neither = helper.make_node("ReduceSum", ["x"], ["y"])
    assert [axes_of(graph(node), node) for node in (by_attribute, by_input, neither)] == [[2], [1], None]


def test_attributes_are_replaced() -> None:
    node = helper.make_node("Concat", ["x", "x"], ["y"], axis=1)
    set_attribute(node, "axis", 2)
    assert (attribute(node, "axis"), len(node.attribute), attribute(node, "absent", 5)) == (2, 1, 5)
