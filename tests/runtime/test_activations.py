from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import IntegrityError, InvalidInputError
from liteport.runtime import load
from liteport.runtime.activations import Probe, with_outputs


@pytest.fixture
def feeds(digits: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return {"input": (digits[:5, ..., np.newaxis] / 255).astype(np.float32)}


@pytest.mark.parametrize("variant", ["tflite-float32", "tflite-int8", "tflite-int16x8", "onnx-float32", "onnx-int8"])
def test_the_last_value_is_what_the_model_answers(
    variant: str, tiny_bundle: Path, feeds: dict[str, NDArray[np.float32]]
) -> None:
    with load(tiny_bundle, variant) as model:
        expected = model.run(feeds)["output"]
    path = next(tiny_bundle.glob(f"{variant}.*"))
    with Probe(path.read_bytes(), path.suffix) as probe:
        values = probe.run(feeds)
        output = probe.contents.tensors[probe.contents.outputs[0]].name
        fewer = probe.run({"input": feeds["input"][:2]})
    assert all(value.dtype == np.float32 for value in values.values())
    # Other kernels than the model's own round some values of 8 bits the other way: a few steps of 1/256 in the end.
    np.testing.assert_allclose(values[output], expected, atol=1e-5 if variant.endswith("float32") else 4 / 256)
    for name, value in fewer.items():
        if len(value) == 2:
            # A batch of two adds in another order than one of five; of an integer model all sums are exact.
            np.testing.assert_allclose(value, values[name][:2], atol=1e-5, rtol=1e-5)


def test_dequantizes_by_each_tensors_own_scale(tiny_bundle: Path, feeds: dict[str, NDArray[np.float32]]) -> None:
    path = tiny_bundle / "tflite-int8.tflite"
    with Probe(path.read_bytes(), path.suffix) as probe:
        values = probe.run(feeds)
        tensors = {tensor.name: tensor for tensor in probe.contents.tensors}
        (kernel,) = (tensor for tensor in tensors.values() if tensor.constant and tensor.shape == (16, 3, 3, 1))
        weights = probe.run(feeds, [kernel.name])[kernel.name]
    for name, value in values.items():
        steps = value / tensors[name].scales[0]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)  # float32 holds steps up to 255 to 1e-5
    steps = weights / np.asarray(kernel.scales, np.float32).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    assert np.abs(steps).max(axis=(1, 2, 3)) == pytest.approx(127, abs=0.01)  # each channel uses its range


def test_integers_that_are_no_values_are_left_out(write_onnx: Callable[..., Path]) -> None:
    from onnx import helper

    nodes = [helper.make_node("Shape", ["x"], ["size"]), helper.make_node("Reshape", ["x", "size"], ["y"])]
    content = write_onnx(nodes, [("x", "float32", [None, 3])], [("y", "float32", [None, 3])]).read_bytes()
    with Probe(content, ".onnx") as probe:
        values = probe.run({"x": np.ones((2, 3), np.float32)})
        assert set(values) == {"x", "y"}
        named: dict[str, NDArray[Any]] = probe.run({"x": np.ones((2, 3), np.float32)}, ["size"])
    assert named["size"].tolist() == [2, 3]


def test_what_is_appended_is_an_onnx_graph_with_outputs() -> None:
    import onnx

    long = "x" * 300  # its length takes two bytes
    model = onnx.ModelProto.FromString(with_outputs(["a", long]))
    assert [output.name for output in model.graph.output] == ["a", long]
    assert with_outputs([]) == b""


def test_refuses_damaged_files_and_unknown_names(tiny_bundle: Path, feeds: dict[str, NDArray[np.float32]]) -> None:
    content = (tiny_bundle / "onnx-float32.onnx").read_bytes()
    with pytest.raises(IntegrityError):
        Probe(content[: len(content) // 2], ".onnx")
    with Probe(content, ".onnx") as probe:
        with pytest.raises(InvalidInputError, match="unknown tensor 'outptu'; did you mean 'output'"):
            probe.run(feeds, ["outptu"])
        with pytest.raises(InvalidInputError, match=r"inputs lack \['input'\]"):
            probe.run({})
    probe.close()  # twice is allowed
