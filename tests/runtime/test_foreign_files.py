"""Files without liteport's metadata: `run` hands over and gives back what they state, and assumes nothing more."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import helper

from liteport.errors import IntegrityError, InvalidInputError
from liteport.export.embedding import embed
from liteport.export.tflite_parts import take_apart
from liteport.runtime import Model, load
from liteport.runtime.cli import run
from liteport.runtime.embedded import read_embedded
from liteport.runtime.state import is_stateful

WriteOnnx = Callable[..., Path]

NOT_FINITE = np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)


@pytest.fixture(scope="module", params=["tflite-float32", "tflite-int8", "onnx-float32"])
def foreign(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variant of the test bundle without what liteport adds."""
    import onnx

    suffix = ".tflite" if request.param.startswith("tflite") else ".onnx"
    content = (tiny_bundle / f"{request.param}{suffix}").read_bytes()
    if suffix == ".tflite":
        content = take_apart(content).model
    else:
        model = onnx.load_from_string(content)
        del model.metadata_props[:]
        content = model.SerializeToString()
    path = tmp_path_factory.mktemp("foreign") / f"model{suffix}"
    path.write_bytes(content)
    return path


@pytest.fixture
def model(foreign: Path) -> Iterator[Model]:
    with load(foreign) as loaded:
        yield loaded


def test_run_hands_over_what_is_not_finite(write_onnx: WriteOnnx) -> None:
    """Attention masks are made of minus infinity; only `predict` knows that its input is an item's values."""
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "f4", ["n", 4])], [("y", "f4", ["n", 4])])
    with load(path) as model:
        for given in (NOT_FINITE, NOT_FINITE.astype(np.float64)):
            np.testing.assert_array_equal(model.run({"x": given})["y"], -NOT_FINITE)
        with pytest.raises(InvalidInputError, match="hold NaN or infinity"):
            model.predict(NOT_FINITE)
        with pytest.raises(InvalidInputError, match="hold values beyond float32; expected finite numbers"):
            model.run({"x": np.array([[1e300, np.inf, 0, 0]])})


def test_run_does_not_quantize_what_is_not_finite(model: Model, digits: NDArray[np.uint8]) -> None:
    images = (digits[:1, ..., None] / 255).astype(np.float32)
    images[0, 0, 0] = np.inf
    if model.inputs[0].scale is None:
        assert model.run({"input": images})["output"].shape == (1, 10)
    else:
        with pytest.raises(InvalidInputError, match="hold NaN or infinity"):
            model.run({"input": images})


def test_a_bundles_run_refuses_what_is_not_finite(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "tflite-float32") as model, pytest.raises(InvalidInputError, match="hold NaN or infinity"):
        model.run({"input": np.full((1, 28, 28, 1), np.inf)})


def test_the_first_dimension_need_not_be_a_batch(write_onnx: WriteOnnx) -> None:
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    path = write_onnx([node], [("a", "f4", ["n", 3]), ("b", "f4", [3, "m"])], [("y", "f4", ["n", "m"])])
    a, b = np.arange(300, dtype=np.float32).reshape(100, 3), np.ones((3, 5), np.float32)
    with load(path) as model:
        np.testing.assert_array_equal(model.run({"a": a, "b": b})["y"], a @ b)
        with pytest.raises(InvalidInputError, match=r"'b' have shape \(4, 5\); expected \[3, None\]"):
            model.run({"a": a, "b": np.ones((4, 5), np.float32)})


def test_names_are_the_files_own(write_onnx: WriteOnnx) -> None:
    name, other = "../x y:0'\"\n", "self"
    nodes = [helper.make_node("Neg", [name], ["é"]), helper.make_node("Neg", [other], ["0"])]
    path = write_onnx(nodes, [(name, "f4", [1]), (other, "f4", [1])], [("é", "f4", [1]), ("0", "f4", [1])])
    with load(path) as model:
        assert model.run({name: [1.0], other: [2.0]}) == {"é": [-1.0], "0": [-2.0]}


def test_no_items_give_no_answers_of_the_files_type(write_onnx: WriteOnnx) -> None:
    node = helper.make_node("ArgMax", ["x"], ["y"], axis=1)
    path = write_onnx([node], [("x", "f4", ["n", 3])], [("y", "i8", ["n", 1])])
    with load(path) as model:
        answers = model.predict(np.ones((2, 3), np.float32))
        nothing = model.predict(np.ones((0, 3), np.float32))
        assert (answers.dtype, answers.shape, nothing.dtype, nothing.shape) == (np.int64, (2, 1), np.int64, (0, 1))


def test_threads_get_their_own_answers(model: Model, digits: NDArray[np.uint8]) -> None:
    images = (digits[:16, ..., None] / 255).astype(np.float32)
    sizes = (1, 3, 8)
    wants = [[model.predict(images[start : start + size]) for size in sizes] for start in range(8)]

    def ask(start: int) -> None:
        for choice in np.random.default_rng(start).integers(0, len(sizes), 50):
            given = images[start : start + sizes[choice]]
            np.testing.assert_array_equal(model.predict(given), wants[start][choice])
            np.testing.assert_array_equal(model.run({"input": given})["output"], wants[start][choice])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


def test_an_image_on_the_command_line_is_refused(
    foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    assert run(["predict", str(foreign), str(tmp_path / "black.png")]) == 1
    told = capsys.readouterr().err
    assert "this file carries no preprocessing; load the bundle, or pass floating values" in told
    assert told.count("\n") == 1


def changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    """A `.tflite` file with something of its schema's objects changed."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_variables_are_found(tiny_bundle: Path) -> None:
    """Those of resources are made by an operator; recurrent operators keep their state in a tensor."""
    content = take_apart((tiny_bundle / "tflite-float32.tflite").read_bytes()).model

    def has_a_resource(model: Any) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.VAR_HANDLE

    def has_a_state(model: Any) -> None:
        model.subgraphs[0].tensors[-1].isVariable = True

    assert not is_stateful(content, ".tflite")
    assert is_stateful(changed(content, has_a_resource), ".tflite")
    assert is_stateful(changed(content, has_a_state), ".tflite")
    assert not is_stateful((tiny_bundle / "onnx-float32.onnx").read_bytes(), ".onnx")
    with pytest.raises(IntegrityError, match="expected b'TFL3'"):
        is_stateful(b"", ".tflite")


def test_a_card_does_not_spare_a_file_the_check(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its digest is that of whoever wrote it: LiteRT crashes on a filter that is not there."""
    content = (tiny_bundle / "tflite-int8.tflite").read_bytes()
    card = read_embedded(content, ".tflite")
    assert card is not None

    def without_a_filter(model: Any) -> None:
        first = next(op for op in model.subgraphs[0].operators if len(op.inputs) == 3)
        first.inputs = [int(first.inputs[0]), -1, int(first.inputs[2])]

    path = tmp_path / "hostile.tflite"
    path.write_bytes(embed(changed(take_apart(content).model, without_a_filter), ".tflite", card))
    with pytest.raises(IntegrityError, match="CONV_2D, lacks an input"):
        load(path)
