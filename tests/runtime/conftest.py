"""A manifest made by hand, bundles that may be changed, and small ONNX files of other shapes than a classifier's."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from liteport.runtime import Manifest, Preprocessing, TensorSpec, Variant
from liteport.runtime.card import InputInfo, OutputInfo
from liteport.runtime.records import CalibrationInfo, SourceInfo, Verification

# A busy machine makes any example slow, which says nothing about the code.
settings.register_profile("liteport", deadline=None)
settings.load_profile("liteport")

Sign = Callable[[dict[str, Any]], bytes]
Edit = Callable[[Path, Callable[[Manifest], Manifest]], Path]
WriteOnnx = Callable[..., Path]


@pytest.fixture
def manifest() -> Manifest:
    """A manifest in which no optional part is missing."""
    variant = Variant(
        id="tflite-int8",
        file="tflite-int8.tflite",
        sha256="0" * 64,
        size_bytes=1000,
        scheme="full integer",
        inputs=(TensorSpec("input", "int8", (None, 28, 28, 3), 1 / 255, -128),),
        outputs=(TensorSpec("output", "int8", (None, 2), 1 / 256, -128),),
        runtime_requirement="any",
        verification=Verification("keras", "validation", 100, 0.01, 0.99, 0.98, 0.99),
    )
    return Manifest(
        name="näme",
        created="2025-01-01T00:00:00+00:00",
        source=SourceInfo("model.keras", "1" * 64, {"keras": "3"}, {"test": {"accuracy": 0.99}}),
        input=InputInfo("input", (None, 28, 28, 3), "NHWC", "rgb", Preprocessing((1.0, 0.5, 0.25), 0.0)),
        output=OutputInfo("output", (None, 2), "softmax", ("cat", "dog")),
        calibration=CalibrationInfo("mnist", "train", 500, 0, "2" * 64),
        variants=(variant, replace(variant, id="onnx-int8", file="onnx-int8.onnx", verification=None)),
    )


@pytest.fixture
def fields(manifest: Manifest) -> dict[str, Any]:
    """The same as a parsed document without its digest, for tests to spoil."""
    document: dict[str, Any] = json.loads(manifest.to_json())
    del document["digest"]
    return document


@pytest.fixture
def sign() -> Sign:
    """Writes a document with the digest that fits it, as someone who edits on purpose would."""

    def write(document: dict[str, Any]) -> bytes:
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return json.dumps({"digest": digest, **copy.deepcopy(document)}).encode()

    return write


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that the test may change."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def edit() -> Edit:
    """Rewrites a bundle's manifest, with a digest that fits."""

    def apply(bundle: Path, change: Callable[[Manifest], Manifest]) -> Path:
        path = bundle / "manifest.json"
        path.write_text(change(Manifest.from_json(path.read_bytes())).to_json(), encoding="utf-8")
        return bundle

    return apply


@pytest.fixture(scope="session")
def digits(tiny_data: Path) -> NDArray[np.uint8]:
    """300 test images of MNIST, (300, 28, 28)."""
    with np.load(tiny_data) as data:
        images: NDArray[np.uint8] = data["x_test"]
    return images


@pytest.fixture(scope="session")
def answers(tiny_data: Path) -> NDArray[np.int64]:
    """Which digits they are."""
    with np.load(tiny_data) as data:
        return np.asarray(data["y_test"], np.int64)


@pytest.fixture
def write_onnx(tmp_path: Path) -> WriteOnnx:
    """Writes an ONNX file of given nodes, inputs and outputs; tensors are (name, dtype, shape)."""
    import onnx
    from onnx import helper

    def value(name: str, dtype: str, shape: list[int | str | None]) -> Any:
        kind = onnx.TensorProto.STRING if dtype == "str" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, shape)

    def write(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Path:
        graph = helper.make_graph(nodes, "g", [value(*entry) for entry in inputs], [value(*entry) for entry in outputs])
        # IR 8 and opset 17 are read by every onnxruntime since 1.12.
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        path = tmp_path / "small.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write
