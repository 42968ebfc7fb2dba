"""What a file states is named as the engine names it: `load` is the reference."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import helper

from liteport.benchmarks.lone_files.tensor_specs import read_specs
from liteport.errors import InvalidInputError
from liteport.runtime import load


def assert_as_loaded(path: Path) -> None:
    with load(path) as model:
        assert read_specs(path.read_bytes(), path.suffix) == (model.inputs, model.outputs)


@pytest.mark.parametrize("file", ["tflite-int8.tflite", "tflite-int16x8.tflite", "onnx-float16.onnx"])
def test_files_of_ours(tiny_bundle: Path, file: str) -> None:
    assert_as_loaded(tiny_bundle / file)


@pytest.fixture
def changed(tiny_bundle: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """Writes a `.tflite` file with something of its schema's objects changed, and without liteport's metadata."""

    def write(change: Callable[[Any], None]) -> Path:
        model = schema.ModelT.InitFromPackedBuf((tiny_bundle / "tflite-float32.tflite").read_bytes(), 0)
        model.metadata = []
        change(model)
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        (tmp_path / "changed.tflite").write_bytes(bytes(builder.Output()))
        return tmp_path / "changed.tflite"

    return write


def test_a_file_without_signatures(changed: Callable[..., Path]) -> None:
    def change(model: Any) -> None:
        model.signatureDefs = []
        graph = model.subgraphs[0]
        graph.outputs = [graph.outputs[0], graph.operators[-2].outputs[0]]
        for index in graph.outputs:
            graph.tensors[index].name = b"same"

    path = changed(change)
    assert_as_loaded(path)
    assert [spec.name for spec in read_specs(path.read_bytes(), ".tflite")[1]] == ["same", "same:1"]


def test_a_signatures_names_are_sorted_as_the_engine_does(changed: Callable[..., Path]) -> None:
    def change(model: Any) -> None:
        graph, signature = model.subgraphs[0], model.signatureDefs[0]
        other = schema.TensorMapT()
        other.name, other.tensorIndex = b"another", graph.operators[-2].outputs[0]
        graph.outputs = [graph.outputs[0], other.tensorIndex]
        signature.outputs = [signature.outputs[0], other]

    path = changed(change)
    assert_as_loaded(path)
    assert [spec.name for spec in read_specs(path.read_bytes(), ".tflite")[1]] == ["another", "output"]


def test_several_signatures_need_a_default(changed: Callable[..., Path]) -> None:
    def change(keys: list[bytes]) -> Callable[[Any], None]:
        def add(model: Any) -> None:
            model.signatureDefs = [copy.copy(model.signatureDefs[0]) for _ in keys]
            for signature, key in zip(model.signatureDefs, keys, strict=True):
                signature.signatureKey = key

        return add

    assert_as_loaded(changed(change([b"a", b"serving_default"])))
    with pytest.raises(InvalidInputError, match=r"signatures \['a', 'b'\]; expected one, or 'serving_default'"):
        read_specs(changed(change([b"a", b"b"])).read_bytes(), ".tflite")


def test_foreign_onnx_files(tmp_path: Path) -> None:
    inputs = [("x", np.float32, ["n", 4, None]), ("mask", np.bool_, []), ("ids", np.int64, [1, "m"])]
    values = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
              for name, dtype, shape in inputs]  # fmt: skip
    outputs = [helper.make_tensor_value_info(f"{value.name}_out", value.type.tensor_type.elem_type, None)
               for value in values]  # fmt: skip
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in inputs]
    model = helper.make_model(helper.make_graph(nodes, "g", values, outputs), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    path = tmp_path / "small.onnx"
    path.write_bytes(model.SerializeToString())
    inputs_read, _ = read_specs(path.read_bytes(), ".onnx")
    with load(path) as loaded:
        assert inputs_read == loaded.inputs
    for dtype, holds in ((onnx.TensorProto.STRING, "string"), (onnx.TensorProto.BFLOAT16, "bfloat16")):
        values[0].type.tensor_type.elem_type = dtype
        graph = helper.make_graph(nodes[:1], "g", values[:1], outputs[:1])
        with pytest.raises(InvalidInputError, match=f"'x' holds {holds}; expected numbers"):
            read_specs(helper.make_model(graph).SerializeToString(), ".onnx")
