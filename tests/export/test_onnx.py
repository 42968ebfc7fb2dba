from pathlib import Path

import onnx
import pytest

from liteport.runtime import load

VARIANTS = ["onnx-float32", "onnx-float16", "onnx-int8"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_are_valid_with_named_edges_and_a_free_batch(tiny_bundle: Path, variant: str) -> None:
    model = onnx.load(tiny_bundle / f"{variant}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    for value, name, sizes in ((model.graph.input[0], "input", [28, 28, 1]), (model.graph.output[0], "output", [10])):
        batch, *rest = value.type.tensor_type.shape.dim
        assert (value.name, batch.dim_param, [size.dim_value for size in rest]) == (name, "N", sizes)
    with load(tiny_bundle, variant) as loaded:
        assert [spec.dtype for spec in (*loaded.inputs, *loaded.outputs)] == ["float32", "float32"]


def weights(path: Path) -> dict[str, set[int]]:
    """Number of elements by type of the stored tensors."""
    found: dict[str, set[int]] = {}
    for tensor in onnx.load(path).graph.initializer:
        found.setdefault(onnx.TensorProto.DataType.Name(tensor.data_type), set()).add(len(tensor.raw_data))
    return found


def test_int8_is_static_qdq_with_a_scale_per_channel(tiny_bundle: Path) -> None:
    graph = onnx.load(tiny_bundle / "onnx-int8.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds
    assert not kinds & {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    source = next(node for node in graph.node if convolution.input[1] in node.output)
    assert source.op_type == "DequantizeLinear"
    kernel, scale = (stored[name] for name in source.input[:2])
    assert onnx.TensorProto.DataType.Name(kernel.data_type) == "INT8"
    assert scale.dims == [kernel.dims[0]] == [16]


def test_float16_stores_its_large_weights_in_half_precision(tiny_bundle: Path) -> None:
    half, single = (weights(tiny_bundle / f"{variant}.onnx") for variant in ("onnx-float16", "onnx-float32"))
    assert max(half["FLOAT16"]) * 2 == max(single["FLOAT"])
    assert "FLOAT" not in half or max(half["FLOAT"]) < 100
