from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from liteport.errors import IntegrityError
from liteport.runtime.contents import Op, Tensor, read_contents, read_metadata
from liteport.runtime.contents.tflite_names import BUILTIN_OPERATORS, TENSOR_TYPES

VARIANTS = ("float32", "float16", "dynamic", "int8", "int16x8")


def test_everything_that_the_schema_says_is_read(small_tflite: bytes) -> None:
    contents = read_contents(small_tflite, ".tflite")
    assert contents.tensors == (
        Tensor("in", "int8", (None, 2, 2, 3), (0.5,), (-3,)),
        Tensor("weight", "int8", (2, 1, 1, 3), (0.25, 2.0), (0, 0), axis=0, constant=True, size_bytes=6),
        Tensor("höher", "int4", (1, 2, 2, 2), (0.25, 0.5), (7, 7), axis=3),
        Tensor("scalar", "bfloat16", ()),
        Tensor("out", "float32", (1, 2, 2, 2)),
    )
    assert contents.ops == (
        Op("CONV_2D", 5, (0, 1, -1), (2,)),
        Op("Mine", 1, (2,), (3,)),
        Op("STABLEHLO_CASE", 1, (3,), (4,)),
    )
    assert (contents.format, contents.inputs, contents.outputs) == ("tflite", (0,), (4,))
    assert (contents.minimum_runtime, contents.producer, contents.opsets) == ("1.14.0", "made by hand", {})
    assert contents.metadata == {"min_runtime_version": b"1.14.0".ljust(16, b"\0"), "note": b"note"}


def test_what_follows_the_flatbuffer_is_no_matter(small_tflite: bytes) -> None:
    assert read_contents(small_tflite + bytes(1000), ".tflite") == read_contents(small_tflite, ".tflite")


@pytest.mark.parametrize(("names", "kind"), [(BUILTIN_OPERATORS, "BuiltinOperator"), (TENSOR_TYPES, "TensorType")])
def test_names_are_those_of_the_schema(names: tuple[str, ...], kind: str) -> None:
    codes = {code: name for name, code in vars(getattr(schema, kind)).items() if not name.startswith("_")}
    assert [name.upper() for name in names] == [codes[code] for code in range(len(names))]
    # A later schema may know more; the one that this is tested with knows no more.
    assert len(names) == len(codes)


@pytest.mark.parametrize("variant", VARIANTS)
def test_contents_are_what_the_interpreter_sees(tiny_bundle: Path, variant: str) -> None:
    content = (tiny_bundle / f"tflite-{variant}.tflite").read_bytes()
    contents = read_contents(content, ".tflite")
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    details = interpreter.get_tensor_details()
    assert len(contents.tensors) == len(details)
    for tensor, detail in zip(contents.tensors, details, strict=True):
        _check_tensor(tensor, detail)
    ops = interpreter._get_ops_details()
    assert [op.kind for op in contents.ops] == [detail["op_name"] for detail in ops]
    assert [op.inputs for op in contents.ops] == [tuple(detail["inputs"]) for detail in ops]
    assert [op.outputs for op in contents.ops] == [tuple(detail["outputs"]) for detail in ops]
    assert contents.inputs == tuple(detail["index"] for detail in interpreter.get_input_details())
    assert contents.outputs == tuple(detail["index"] for detail in interpreter.get_output_details())


def _check_tensor(tensor: Tensor, detail: dict[str, Any]) -> None:
    assert tensor.name == detail["name"]
    assert tensor.dtype == np.dtype(detail["dtype"]).name
    assert tensor.shape == tuple(None if size == -1 else size for size in detail["shape_signature"])
    parameters = detail["quantization_parameters"]
    assert tensor.scales == tuple(parameters["scales"].tolist())
    assert tensor.zero_points == tuple(parameters["zero_points"].tolist())
    assert tensor.axis == (parameters["quantized_dimension"] if len(tensor.scales) > 1 else None)


def test_the_converters_word_is_found(tiny_bundle: Path) -> None:
    contents = read_contents((tiny_bundle / "tflite-int8.tflite").read_bytes(), ".tflite")
    assert contents.producer.startswith("MLIR Converted. (TensorFlow 2.")
    assert contents.minimum_runtime is not None
    assert contents.minimum_runtime[0].isdigit()
    weights = [tensor for tensor in contents.tensors if tensor.constant and tensor.dtype == "int8"]
    assert [tensor.size_bytes for tensor in weights] == [np.prod(tensor.shape) for tensor in weights]
    assert any(tensor.axis == 0 and len(tensor.scales) == 32 for tensor in weights)


def test_metadata_alone_is_the_same(tiny_bundle: Path) -> None:
    content = (tiny_bundle / "tflite-float32.tflite").read_bytes()
    assert read_metadata(content, ".tflite") == read_contents(content, ".tflite").metadata


def test_another_file_is_told_as_such() -> None:
    with pytest.raises(IntegrityError, match=r"bytes 4 to 8 are b'a mo', expected b'TFL3'"):
        read_contents(b"not a model at all", ".tflite")
