"""What emulated Arm answers against what is answered here, for all test images of the tiny data set.

A model is integer arithmetic up to its softmax, which engines compute as they like (LiteRT has other tables for it on
64-bit Arm). So quantized models are also compared without it, by their logits.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from liteport.runtime import read_bundle

PROGRAM = Path(__file__).with_name("predict.py")

Compare = Callable[[Path], "Both"]


class Both(NamedTuple):
    """The outputs (N, classes) of one file here and there, and which engines gave them."""

    here: NDArray[np.float32]
    there: NDArray[np.float32]
    engine_here: list[str]
    engine_there: list[str]

    def difference(self) -> NDArray[np.float64]:
        return np.abs(self.here.astype(np.float64) - self.there)

    def summary(self) -> str:
        """The differences, counted."""
        difference = self.difference()
        agreement = np.mean(self.here.argmax(axis=1) == self.there.argmax(axis=1))
        return (
            f"{np.count_nonzero(difference)} of {difference.size} values differ, by at most {difference.max():.2g}; "
            f"top-1 agreement {agreement:.2%}; {' '.join(self.engine_there)} against {' '.join(self.engine_here)} here"
        )


@pytest.fixture
def compare(machine: Any, tell: Callable[[str], None], fixtures: Path, tmp_path: Path) -> Compare:
    """Runs a file there and here."""

    def run(path: Path) -> Both:
        arguments = [str(PROGRAM), str(fixtures / "tiny.npz")]
        machine.run("python", *arguments, tmp_path / "there.npz", path)
        subprocess.run([sys.executable, *arguments, str(tmp_path / "here.npz"), str(path)], check=True)
        with np.load(tmp_path / "here.npz") as here, np.load(tmp_path / "there.npz") as there:
            name, engine = path.name, f"{path.name} engine"
            both = Both(here[name], there[name], here[engine].tolist(), there[engine].tolist())
        tell(f"{machine.name}, {path.name}: {both.summary()}")
        return both

    return run


@pytest.fixture(scope="session")
def tflite_logits(fixtures: Path) -> tuple[Path, float]:
    """The int8 variant without its softmax and metadata, and the step of its int8 output."""
    content = (fixtures / "bundle/tflite-int8.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    softmax = graph.operators.pop()
    assert model.operatorCodes[softmax.opcodeIndex].builtinCode == schema.BuiltinOperator.SOFTMAX
    logits = softmax.inputs[0]
    graph.outputs = [logits]
    model.signatureDefs[0].outputs[0].tensorIndex = logits
    model.metadata = []
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = fixtures / "logits.tflite"
    path.write_bytes(builder.Output())
    return path, float(graph.tensors[logits].quantization.scale[0])


@pytest.fixture(scope="session")
def onnx_logits(fixtures: Path) -> Path:
    """The same of the variant for ONNX Runtime."""
    model = onnx.load(fixtures / "bundle/onnx-int8.onnx")
    softmax = model.graph.node.pop()
    assert softmax.op_type == "Softmax"
    model.graph.output[0].name = softmax.input[0]
    del model.metadata_props[:]
    onnx.save(model, fixtures / "logits.onnx")
    return fixtures / "logits.onnx"


def test_int8_logits(machine: Any, compare: Compare, tflite_logits: tuple[Path, float]) -> None:
    path, step = tflite_logits
    both = compare(path)
    if both.engine_here == both.engine_there:
        np.testing.assert_array_equal(both.there, both.here)
    else:  # the generation before rounds the product of the scales otherwise: off by one, not off by two
        assert both.difference().max() <= step * 1.001


def test_int8_probabilities(machine: Any, compare: Compare, fixtures: Path, tflite_logits: tuple[Path, float]) -> None:
    both = compare(fixtures / "bundle/tflite-int8.tflite")
    output = read_bundle(fixtures / "bundle").manifest.variant("tflite-int8").outputs[0]
    assert output.scale is not None
    # Softmax rounds to its own step. If no logit moves by more than d, no probability p does by more than d/2: in size,
    # its derivatives by the logits add up to 2p(1 - p). Engines of two generations are one step of the logits apart.
    moved = 0.0 if both.engine_here == both.engine_there else tflite_logits[1]
    bound = output.scale + moved / 2
    assert both.difference().max() <= bound * 1.001
    assert np.mean(both.here.argmax(axis=1) == both.there.argmax(axis=1)) > 0.99  # ties may be decided otherwise


def test_onnx_int8_logits(machine: Any, compare: Compare, onnx_logits: Path) -> None:
    if machine.name == "armv7l":
        pytest.skip("onnxruntime has no wheel for 32-bit Arm")
    both = compare(onnx_logits)
    assert both.engine_here == both.engine_there
    np.testing.assert_array_equal(both.there, both.here)


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        # Sums in single precision, in another order; probabilities are at most 1, and 1.4e-6 was seen.
        ("tflite-float32.tflite", 1e-5),
        ("onnx-float32.onnx", 1e-5),
        ("ncnn-float32.param", 1e-5),
        # The same logits through another softmax in single precision: a few units in the last place of 1 (1.2e-7).
        ("onnx-int8.onnx", 1e-6),
    ],
)
def test_probabilities(machine: Any, compare: Compare, fixtures: Path, file: str, tolerance: float) -> None:
    if machine.name == "armv7l" and file.endswith(".onnx"):
        pytest.skip("onnxruntime has no wheel for 32-bit Arm")
    assert compare(fixtures / "bundle" / file).difference().max() <= tolerance
