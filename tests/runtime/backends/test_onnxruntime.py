import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from liteport.errors import BackendError, IntegrityError, InvalidInputError
from liteport.runtime import load
from liteport.runtime.backends import choose_engine

WriteOnnx = Callable[..., Path]


def test_tensors_are_described_as_the_file_has_them(tiny_bundle: Path) -> None:
    backend = choose_engine(".onnx").load((tiny_bundle / "onnx-int8.onnx").read_bytes(), 1)
    (given,), (result,) = backend.inputs, backend.outputs
    assert (given.name, given.dtype, given.shape, given.scale) == ("input", "float32", (None, 28, 28, 1), None)
    assert (result.name, result.dtype, result.shape) == ("output", "float32", (None, 10))
    assert re.fullmatch(r"onnxruntime \d+\.\d+\.\d+ \(CPUExecutionProvider\)", str(backend.info))
    backend.close()


def test_a_fixed_batch_is_filled_up(write_onnx: WriteOnnx) -> None:
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "f4", [4, 3])], [("y", "f4", [4, 3])])
    values = np.arange(30, dtype=np.float32).reshape(10, 3)
    with load(path) as model:
        for count in (0, 1, 3, 4, 5, 8, 10):
            np.testing.assert_array_equal(model.predict(values[:count]), -values[:count])


def test_a_file_without_a_batch_is_not_cut_into_parts(write_onnx: WriteOnnx) -> None:
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    path = write_onnx([node], [("x", "f4", ["n", 3])], [("y", "f4", [])])
    with load(path) as model:
        assert model.predict(np.ones((32, 3), np.float32)) == 96
        with pytest.raises(InvalidInputError, match="so they cannot be run in parts; pass at most 32"):
            model.predict(np.ones((64, 3), np.float32))


def test_several_inputs_and_outputs_go_by_name(write_onnx: WriteOnnx) -> None:
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    pair = [("a", "f4", ["n", 2]), ("b", "f4", ["n", 2])]
    path = write_onnx(nodes, pair, [("sum", "f4", ["n", 2]), ("difference", "f4", ["n", 2])])
    a, b = np.arange(600, dtype=np.float32).reshape(300, 2), np.ones((300, 2))
    with load(path) as model:
        results = model.run({"b": b, "a": a})
        assert list(results) == ["sum", "difference"]
        np.testing.assert_array_equal(results["sum"], a + 1)
        np.testing.assert_array_equal(results["difference"], a - 1)
        np.testing.assert_array_equal(model.run({"a": a, "b": b[0]})["sum"], a + 1)  # the file's own rules, not ours
        with pytest.raises(InvalidInputError, match=r"inputs lack \['b'\]; expected \['a', 'b'\]"):
            model.run({"a": a})
        with pytest.raises(InvalidInputError, match="unknown input 'c'"):
            model.run({"a": a, "b": b, "c": b})
        with pytest.raises(InvalidInputError, match="this has 2 and 2; use run"):
            model.predict(a)


def test_an_input_may_be_double(write_onnx: WriteOnnx) -> None:
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "f8", ["n", 1])], [("y", "f8", ["n", 1])])
    with load(path) as model:
        assert model.run({"x": [0.1]})["y"][0, 0] == -0.1  # float32 would give -0.10000000149


def test_an_input_may_be_half(write_onnx: WriteOnnx) -> None:
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "f2", ["n", 1])], [("y", "f2", ["n", 1])])
    with load(path) as model:
        assert model.run({"x": [1.5]})["y"].dtype == np.float32
        with pytest.raises(InvalidInputError, match="beyond float16"):
            model.run({"x": [1e6]})


def test_integers_are_passed_as_they_are_or_refused(write_onnx: WriteOnnx) -> None:
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "i4", ["n", 2])], [("y", "i4", ["n", 2])])
    with load(path) as model:
        np.testing.assert_array_equal(model.run({"x": [1, -2]})["y"], [[-1, 2]])
        np.testing.assert_array_equal(model.run({"x": np.array([[1, 2]], np.uint8)})["y"], [[-1, -2]])
        for wrong in ([2**31, 0], [1.0, 2.0], ["a", "b"], [None, 1]):
            with pytest.raises(InvalidInputError, match=r"expected whole numbers that int32 holds"):
                model.run({"x": wrong})
        with pytest.raises(InvalidInputError, match=r"have shape \(3,\); expected \(2,\) or \(N, 2\)"):
            model.run({"x": [1, 2, 3]})


def test_text_is_refused(write_onnx: WriteOnnx) -> None:
    path = write_onnx([helper.make_node("Identity", ["x"], ["y"])], [("x", "str", [1])], [("y", "str", [1])])
    with pytest.raises(BackendError, match=r"'x' holds tensor\(string\); expected tensors of booleans, integers or fl"):
        load(path)


def test_types_that_numpy_has_not_are_refused(write_onnx: WriteOnnx) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)
    with pytest.raises(BackendError, match=r"'y' holds tensor\(bfloat16\); expected tensors of .* numpy$"):
        load(write_onnx([node], [("x", "f4", [1])], [("y", "bfloat16", [1])]))


def test_sequences_and_maps_are_refused(tmp_path: Path) -> None:
    """What scikit-learn's classifiers are converted to, if nobody says otherwise."""
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    probability = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    pairs = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, probability))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([node], "g", [x], [helper.make_value_info("y", pairs)])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = tmp_path / "classifier.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())
    with pytest.raises(BackendError, match=r"'y' holds seq\(map\(int64,tensor\(float\)\)\) .* option zipmap=False"):
        load(path)


@pytest.mark.parametrize(("inputs", "outputs"), [([], ["y"]), (["x"], [])])
def test_a_file_without_inputs_or_outputs_is_refused(
    inputs: list[str], outputs: list[str], write_onnx: WriteOnnx
) -> None:
    node = helper.make_node("Neg", ["x"], ["y"]) if inputs else helper.make_node("Constant", [], ["y"], value_float=1.0)
    path = write_onnx([node], [(name, "f4", [1]) for name in inputs], [(name, "f4", []) for name in outputs])
    with pytest.raises(
        BackendError, match=f"has {len(inputs)} inputs and {len(outputs)} outputs; expected at least one"
    ):
        load(path)


@pytest.mark.parametrize("shape", [[], None], ids=["scalar", "any rank"])
def test_an_input_of_no_stated_shape_takes_any(shape: list[int] | None, write_onnx: WriteOnnx) -> None:
    """The engine does not tell a single number from what is free, and takes all for both."""
    path = write_onnx([helper.make_node("Neg", ["x"], ["y"])], [("x", "f4", shape)], [("y", "f4", shape)])
    with load(path) as model:
        assert model.input.shape == ()
        for given in ((), (3,), (0, 2), (40, 2, 3)):
            result = model.run({"x": np.ones(given, np.float32)})["y"]
            assert result.shape == given
            np.testing.assert_array_equal(result, -np.ones(given))
        assert model.predict(2.0) == -2
        np.testing.assert_array_equal(model.predict(np.ones((40, 2), np.float32)), -np.ones((40, 2)))


def test_a_constant_that_is_also_an_input_is_the_files_own(tmp_path: Path) -> None:
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xwy")
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3], [1, 2, 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x, w], [y], [weights])
    path = tmp_path / "older.onnx"
    path.write_bytes(
        helper.make_model(graph, ir_version=3, opset_imports=[helper.make_opsetid("", 8)]).SerializeToString()
    )
    with load(path) as model:
        assert [spec.name for spec in model.inputs] == ["x"]
        np.testing.assert_array_equal(model.run({"x": np.zeros(3)})["y"], [1, 2, 3])
        with pytest.raises(InvalidInputError, match="unknown input 'w'; known: x"):
            model.run({"x": np.zeros(3), "w": np.zeros(3)})


def test_what_fails_while_running_is_told(write_onnx: WriteOnnx, capfd: pytest.CaptureFixture[str]) -> None:
    node = helper.make_node("MatMul", ["x", "x"], ["y"])  # fits only square matrices
    path = write_onnx([node], [("x", "f4", ["n", 3])], [("y", "f4", ["n", 3])])
    with load(path) as model:
        with pytest.raises(BackendError, match=r"^onnxruntime .* failed: .") as caught:
            model.predict(np.ones((2, 3), np.float32))
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")  # once, and not in red on the terminal too
        np.testing.assert_array_equal(model.predict(np.ones((3, 3), np.float32)), np.full((3, 3), 3))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:8],
        lambda content: content[: len(content) // 2],
        lambda content: b"hello" * 100,
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "8 bytes", "half", "text", "zeros"],
)
def test_a_broken_file_is_refused(spoil: Callable[[bytes], bytes], tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(spoil((tiny_bundle / "onnx-int8.onnx").read_bytes()))
    # Most are found when the file is asked what it says of itself, the others by the engine.
    told = r"^(the ONNX file is damaged: .|onnxruntime [\d.]+ refuses this model: .)"
    with pytest.raises((IntegrityError, BackendError), match=told) as caught:
        load(path)
    assert "\n" not in str(caught.value)
