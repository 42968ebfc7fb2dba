from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from liteport.errors import IntegrityError, InvalidInputError
from liteport.runtime.contents import Op, Tensor, check_structure, read_contents, read_metadata


def test_everything_that_the_schema_says_is_read(small_onnx: bytes) -> None:
    contents = read_contents(small_onnx, ".onnx")
    tensors = {tensor.name: tensor for tensor in contents.tensors}
    assert [contents.tensors[i].name for i in contents.inputs] == ["in"]  # "scales" is an initializer
    assert [contents.tensors[i].name for i in contents.outputs] == ["out"]
    assert tensors["in"] == Tensor("in", "float32", (None, 3))
    assert tensors["out"] == Tensor("out", "float32", (None, 2))
    assert tensors["in_q"] == Tensor("in_q", "uint8", (None, 3), (0.5,), (128,))
    assert tensors["in_f"] == Tensor("in_f", "float32", (None, 3))
    assert tensors["weight"] == Tensor("weight", "int8", (3, 2), (0.5, 0.25), (1, -2), 1, constant=True, size_bytes=6)
    assert tensors["weight_f"] == Tensor("weight_f", "float32", (3, 2))
    assert tensors["plain_q"] == Tensor("plain_q", "uint8", (), (0.25,), (0,))  # no zero point: uint8 and 0
    assert tensors["narrow_q"] == Tensor("narrow_q", "int4", (None, 3), (0.125,), (-7,))
    assert tensors["clipped"] == Tensor("clipped", "", ())
    assert tensors["size"] == Tensor("size", "int64", (2,), constant=True, size_bytes=16)
    assert tensors["zero"] == Tensor("zero", "uint8", (), constant=True, size_bytes=1)
    names = {name: i for i, name in enumerate(tensors)}
    assert contents.ops[3] == Op(
        "QuantizeLinear", None, (names["in"], names["step"], names["zero"]), (names["in_q"],), "q"
    )
    assert contents.ops[-2] == Op("Clip", None, (names["product"], -1, names["step"]), (names["clipped"],))
    assert contents.ops[-1].kind == "my.own.Mine"
    assert (contents.format, contents.producer, contents.minimum_runtime) == ("onnx", "hand 1", None)
    assert contents.opsets == {"": 21, "my.own": 4}
    assert contents.metadata == {"note": "nöte".encode(), "empty": b""}


@pytest.mark.parametrize("variant", ["float32", "float16", "int8"])
def test_contents_are_what_onnx_sees(tiny_bundle: Path, variant: str) -> None:
    content = (tiny_bundle / f"onnx-{variant}.onnx").read_bytes()
    contents = read_contents(content, ".onnx")
    model = onnx.load_from_string(content)
    names = [tensor.name for tensor in contents.tensors]
    assert len(set(names)) == len(names)
    graph = model.graph
    assert [names[i] for i in contents.inputs] == [value.name for value in graph.input]
    assert [names[i] for i in contents.outputs] == [value.name for value in graph.output]
    assert [op.kind for op in contents.ops] == [node.op_type for node in graph.node]
    assert [op.name for op in contents.ops] == [node.name for node in graph.node]
    for op, node in zip(contents.ops, graph.node, strict=True):
        assert [names[i] if i >= 0 else "" for i in op.inputs] == list(node.input)
        assert [names[i] for i in op.outputs] == list(node.output)
    constants = {tensor.name: tensor for tensor in contents.tensors if tensor.constant}
    for initializer in graph.initializer:
        array = numpy_helper.to_array(initializer)
        constant = constants[initializer.name]
        assert (constant.dtype, constant.shape, constant.size_bytes) == (array.dtype.name, array.shape, array.nbytes)
    assert contents.opsets == {entry.domain: entry.version for entry in model.opset_import}
    assert contents.metadata == {entry.key: entry.value.encode() for entry in model.metadata_props}
    assert read_metadata(content, ".onnx") == contents.metadata


def test_quantization_is_that_of_the_nodes(tiny_bundle: Path) -> None:
    content = (tiny_bundle / "onnx-int8.onnx").read_bytes()
    contents = read_contents(content, ".onnx")
    graph = onnx.load_from_string(content).graph
    arrays = {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}
    tensors = {tensor.name: tensor for tensor in contents.tensors}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        quantized, real = node.input[0], node.output[0]
        if node.op_type == "QuantizeLinear":
            quantized, real = real, quantized
        tensor, (scale, zero_point) = tensors[quantized], node.input[1:]
        np.testing.assert_array_equal(tensor.scales, arrays[scale].ravel())
        np.testing.assert_array_equal(tensor.zero_points, arrays[zero_point].ravel())
        assert tensor.dtype == arrays[zero_point].dtype.name
        assert tensor.shape == tensors[real].shape


def test_data_in_another_file_is_counted_but_not_looked_for() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "w.bin", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph([], "g", [], [], [tensor])
    contents = read_contents(helper.make_model(graph).SerializeToString(), ".onnx")
    assert contents.tensors == (Tensor("w", "float32", (4,), constant=True, size_bytes=16),)


def test_a_value_that_nothing_makes_is_damage() -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    with pytest.raises(IntegrityError, match="the ONNX file is damaged: 'x' is used but nothing makes it"):
        read_contents(helper.make_model(graph).SerializeToString(), ".onnx")


def test_another_suffix_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown suffix of model files '.onx'; did you mean '.onnx'"):
        read_contents(b"", ".onx")


def test_a_size_of_minus_one_is_free() -> None:
    """As older exporters write it, where ONNX would leave the size out."""
    value = helper.make_tensor_value_info
    ends = value("x", TensorProto.FLOAT, [-1, 3]), value("y", TensorProto.FLOAT, [-1, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    content = helper.make_model(graph).SerializeToString()
    assert [tensor.shape for tensor in read_contents(content, ".onnx").tensors] == [(None, 3), (None, 3)]
    check_structure(content, ".onnx")
