from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from liteport.export.tflite import floating_tensors
from liteport.runtime import load, read_bundle


def tensor_types(path: Path) -> set[str]:
    details = Interpreter(model_path=str(path)).get_tensor_details()
    return {np.dtype(detail["dtype"]).name for detail in details}


def test_full_integer_files_hold_no_floating_tensor(tiny_bundle: Path) -> None:
    # int32: biases, and the shapes that Flatten computes
    assert tensor_types(tiny_bundle / "tflite-int8.tflite") <= {"int8", "int32"}
    assert tensor_types(tiny_bundle / "tflite-int16x8.tflite") <= {"int16", "int8", "int32", "int64"}
    for variant in ("tflite-int8", "tflite-int16x8"):
        assert floating_tensors((tiny_bundle / f"{variant}.tflite").read_bytes()) == []


def test_floating_tensors_are_found_where_they_are(tiny_bundle: Path) -> None:
    assert floating_tensors((tiny_bundle / "tflite-float32.tflite").read_bytes())
    assert floating_tensors((tiny_bundle / "tflite-dynamic.tflite").read_bytes())


def test_raw_pixels_map_exactly_to_int8(tiny_bundle: Path) -> None:
    spec = read_bundle(tiny_bundle).manifest.variant("tflite-int8").inputs[0]
    assert (spec.dtype, spec.zero_point) == ("int8", -128)
    assert spec.scale == np.float32(1 / 255)


@pytest.mark.parametrize(
    ("variant", "largest_share"),
    # A quarter and a half of float32's weights, and room for the graph, which is a large part of so small a file.
    [("tflite-int8", 0.45), ("tflite-int16x8", 0.45), ("tflite-dynamic", 0.45), ("tflite-float16", 0.65)],
)
def test_quantized_weights_are_stored_as_such(tiny_bundle: Path, variant: str, largest_share: float) -> None:
    manifest = read_bundle(tiny_bundle).manifest
    assert manifest.variant(variant).size_bytes < largest_share * manifest.variant("tflite-float32").size_bytes


@pytest.mark.parametrize("variant", ["tflite-float32", "tflite-float16", "tflite-dynamic"])
def test_other_variants_take_and_give_float32(tiny_bundle: Path, variant: str) -> None:
    with load(tiny_bundle, variant) as model:
        assert [spec.dtype for spec in (*model.inputs, *model.outputs)] == ["float32", "float32"]
        assert (model.inputs[0].name, model.outputs[0].name) == ("input", "output")
