"""Files as other tools write them: small ONNX graphs, and variants of the test bundle without what liteport adds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from liteport.benchmarks.lone_files.foreign import ForeignFiles, agreement, resolve_files
from liteport.errors import IntegrityError, InvalidInputError, NotFoundError
from liteport.export.tflite_parts import take_apart
from liteport.runtime import load
from liteport.train import load_dataset

Tensors = list[tuple[str, str, list[int | str | None]]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an ONNX file of given nodes, inputs and outputs; tensors are (name, dtype, shape)."""

    def values(tensors: Tensors) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, dtype, shape in tensors
        ]

    def onnx_file(name: str, nodes: list[Any], inputs: Tensors, outputs: Tensors) -> Path:
        graph = helper.make_graph(nodes, "g", values(inputs), values(outputs))
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return onnx_file


@pytest.fixture
def foreign(tiny_bundle: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A TFLite variant of the test bundle without its card."""

    def strip(variant: str) -> Path:
        path = tmp_path / f"foreign-{variant}.tflite"
        path.write_bytes(take_apart((tiny_bundle / f"{variant}.tflite").read_bytes()).model)
        return path

    return strip


def negated(write: Write, name: str, shape: list[int | str | None], dtype: str = "f4", tensor: str = "x") -> Path:
    """A file that gives the negative of what it gets."""
    return write(name, [helper.make_node("Neg", [tensor], ["y"])], [(tensor, dtype, shape)], [("y", dtype, shape)])


def answers(files: ForeignFiles) -> list[list[np.ndarray[Any, Any]]]:
    """What each file answers, its outputs in the first file's order."""
    found = []
    for file in files.files:
        with load(file.candidate.path) as model:
            results = model.run(file.inputs)
            found.append([results[model.outputs[index].name] for index in file.output_order])
    return found


def test_random_numbers_are_the_same_for_all_files(foreign: Callable[[str], Path]) -> None:
    files = resolve_files([foreign("tflite-float32"), foreign("tflite-int8")], seed=5)
    assert (files.count, files.source, files.notes, files.labels, files.data) == (1, "random", (), None, None)
    first, second = (file.inputs["input"] for file in files.files)
    np.testing.assert_array_equal(first, second)
    assert (first.shape, first.dtype) == ((1, 28, 28, 1), np.float32)
    assert 0 <= first.min() < 0.1 < 0.9 < first.max() < 1  # of 784 uniform numbers
    (reference,), (other,) = answers(files)
    assert agreement([other], [reference], files.source).max_abs_difference < 0.2  # quantized: near, but not equal
    again, another = (resolve_files([file.candidate.path for file in files.files], seed=seed) for seed in (5, 6))
    np.testing.assert_array_equal(again.files[0].inputs["input"], first)
    assert (another.files[0].inputs["input"] != first).any()


def test_random_numbers_suit_the_type_and_size(write: Write) -> None:
    shape: list[int | str | None] = [3, 50]
    names = ["ids", "pixels", "flags", "real"]
    tensors: Tensors = list(zip(names, ["i8", "u1", "?", "f8"], [shape] * 4, strict=True))
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]
    path = write("a.onnx", nodes, tensors, [(f"{name}_out", dtype, size) for name, dtype, size in tensors])
    files = resolve_files([path])
    found = files.files[0].inputs
    assert files.count == 3
    assert set(found["ids"].ravel()) == set(found["flags"].ravel()) == {0, 1}
    assert found["pixels"].max() > 200  # of 150 bytes
    assert {values.shape for values in found.values()} == {(3, 50)}
    np.testing.assert_array_equal(answers(files)[0][2], found["flags"])


def test_the_batch_is_the_users_or_the_files(write: Write) -> None:
    free, fixed = negated(write, "free.onnx", ["n", 4]), negated(write, "fixed.onnx", [2, 4])
    assert resolve_files([free], batch=8).count == 8
    assert resolve_files([free, fixed]).count == 2
    with pytest.raises(InvalidInputError, match=r"fixed.onnx takes exactly 2 items at once for 'x'; random would be 8"):
        resolve_files([free, fixed], batch=8)
    other = negated(write, "other.onnx", [3, 4])
    with pytest.raises(InvalidInputError, match=r"other.onnx takes exactly 3 items at once for 'x'; random would be 2"):
        resolve_files([fixed, other])


def test_unknown_sizes_ask_for_an_input(write: Write, tmp_path: Path) -> None:
    free = negated(write, "free.onnx", ["n", "m"])
    with pytest.raises(InvalidInputError, match=r"free.onnx does not tell the sizes of 'x', \[None, None\]; .*--input"):
        resolve_files([free])
    np.save(tmp_path / "given.npy", np.ones((2, 6)))
    files = resolve_files([free], input_file=tmp_path / "given.npy")
    assert (files.count, files.source, files.files[0].inputs["x"].shape) == (2, "given.npy", (2, 6))
    known = negated(write, "known.onnx", ["n", 7])  # one file that tells is enough
    assert resolve_files([free, known]).files[0].inputs["x"].shape == (1, 7)


def test_layouts_are_explained_and_told(write: Write) -> None:
    nhwc, nchw = negated(write, "a.onnx", ["n", 4, 5, 3]), negated(write, "b.onnx", ["n", 3, 4, 5], tensor="image")
    for paths, said in (
        ([nhwc, nchw], "b.onnx: the values for 'image' are transposed to NCHW"),
        ([nchw, nhwc], "a.onnx: the values for 'x' are transposed to NHWC"),
    ):
        files = resolve_files(paths, batch=2)
        assert files.notes == (said,)
        reference, other = answers(files)
        assert agreement(other, reference, files.source).snr_db is None
    with pytest.raises(InvalidInputError, match=r"c.onnx cannot be compared .*'x' \[None, 4, 5\] does not fit .*'x'"):
        resolve_files([nhwc, negated(write, "c.onnx", ["n", 4, 5])])


@pytest.fixture
def two_inputs(write: Write) -> Callable[..., Path]:
    """A file that gives the sum, and the second of two inputs."""

    def make(name: str, first: str, second: str, outputs: tuple[str, str], sizes: tuple[int, int] = (4, 1)) -> Path:
        nodes = [helper.make_node("Add", [first, second], [outputs[0]]),
                 helper.make_node("Neg", [second], [outputs[1]])]  # fmt: skip
        tensors: Tensors = [(first, "f4", ["n", sizes[0]]), (second, "f4", ["n", sizes[1]])]
        results: Tensors = [(outputs[0], "f4", ["n", sizes[0]]), (outputs[1], "f4", ["n", sizes[1]])]
        if first > second:  # in another order than the other files'
            tensors, results = tensors[::-1], results[::-1]
        return write(name, nodes, tensors, results)

    return make


def test_several_tensors_are_matched_by_name_or_by_shape(two_inputs: Callable[..., Path], tmp_path: Path) -> None:
    first = two_inputs("first.onnx", "a", "b", ("sum", "minus"))
    named = two_inputs("named.onnx", "serving_default_a:0", "b:0", ("sum:0", "minus:0"))
    shaped = two_inputs("shaped.onnx", "z", "y", ("Identity", "Identity_1"))
    np.savez(tmp_path / "given.npz", a=np.arange(8.0).reshape(2, 4), b=np.array([[1.0], [2.0]]))
    files = resolve_files([first, named, shaped], input_file=tmp_path / "given.npz")
    assert files.notes == (
        "shaped.onnx: inputs are matched by their shapes", "shaped.onnx: outputs are matched by their shapes"
    )  # fmt: skip
    reference, *others = answers(files)
    np.testing.assert_array_equal(reference[0], [[1, 2, 3, 4], [6, 7, 8, 9]])
    for other in others:
        assert agreement(other, reference, files.source).snr_db is None


def test_inputs_of_any_name_go_through_a_file(two_inputs: Callable[..., Path], tmp_path: Path) -> None:
    (file,) = resolve_files([two_inputs("odd.onnx", "file", "a/b: c", ("sum", "minus"))]).files
    file.save_inputs(tmp_path / "inputs.npz")
    with np.load(tmp_path / "inputs.npz") as found:
        assert set(found.files) == {"file", "a/b: c"}
        for name, values in file.inputs.items():
            np.testing.assert_array_equal(found[name], values)


def test_what_cannot_be_told_apart(two_inputs: Callable[..., Path], write: Write) -> None:
    first = two_inputs("first.onnx", "a", "b", ("sum", "minus"), sizes=(4, 4))
    with pytest.raises(InvalidInputError, match=r"it has 'c' .*, 'd' .* as inputs, .*; expected the same names"):
        resolve_files([first, two_inputs("other.onnx", "c", "d", ("sum", "minus"), sizes=(4, 4))])
    files = resolve_files([first, two_inputs("other.onnx", "a", "b", ("one", "two"), sizes=(4, 4))])
    assert files.notes == ("other.onnx: outputs are compared in order, as their names differ",)
    reference, other = answers(files)
    assert agreement(other, reference, "random").snr_db is None
    with pytest.raises(InvalidInputError, match=r"it has 'x' \[None, 4\] as inputs, the first file 'a' .* as many"):
        resolve_files([first, negated(write, "one.onnx", ["n", 4])])


def test_given_input_must_fit(foreign: Callable[[str], Path], two_inputs: Callable[..., Path], tmp_path: Path) -> None:
    model, given = foreign("tflite-int8"), tmp_path / "given.npy"

    def refused(array: Any, match: str) -> None:
        np.save(given, array)
        with pytest.raises(InvalidInputError, match=match):
            resolve_files([model], input_file=given)

    refused(np.zeros((1, 9, 9)), r"given.npy has the shape \(1, 9, 9\); .* expects \[None, 28, 28, 1\] for 'input'")
    refused(np.zeros((1, 28, 28, 1), np.uint8), "got raw pixels .* carries no preprocessing")
    refused(np.full((1, 28, 28, 1), np.nan), "given.npy: .* hold NaN or infinity")
    refused(np.zeros((0, 28, 28, 1)), "holds no values")
    refused(np.array([None]), "holds no numbers; expected what numpy.save")
    given.write_bytes(b"no array")
    with pytest.raises(InvalidInputError, match="holds no numbers"):
        resolve_files([model], input_file=given)
    with pytest.raises(NotFoundError, match=r"missing.npy does not exist"):
        resolve_files([model], input_file=tmp_path / "missing.npy")
    two = two_inputs("two.onnx", "a", "b", ("sum", "minus"))
    np.savez(tmp_path / "other.npz", a=np.ones((1, 4)), c=np.ones((1, 1)))
    with pytest.raises(
        InvalidInputError, match=r"holds \['a', 'c'\]; expected an .npz with an array for each of \['a'"
    ):
        resolve_files([two], input_file=tmp_path / "other.npz")
    np.save(given, np.ones((1, 4)))
    with pytest.raises(InvalidInputError, match=r"holds one array; expected an .npz"):
        resolve_files([two], input_file=given)
    with pytest.raises(InvalidInputError, match="both an input and a data set"):
        resolve_files([two], input_file=given, data="mnist")


def test_a_data_sets_images_are_given_as_each_file_takes_them(
    foreign: Callable[[str], Path], tiny_bundle: Path, tiny_data: Path
) -> None:
    data = load_dataset(tiny_data)
    ours = tiny_bundle / "onnx-float32.onnx"
    files = resolve_files([ours, foreign("tflite-float32")], data=data, batch=4)
    assert files.source == "tiny, pixels / 255"
    assert (files.count, files.data) == (4, data)
    assert files.labels is not None
    pixels, real = (file.inputs["input"] for file in files.files)
    assert (pixels.dtype, real.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(real, data.test.images[:4] / np.float32(255))
    np.testing.assert_array_equal(files.files[1].items(slice(7, 9)), data.test.images[7:9] / np.float32(255))
    assert len(files.files[0].items()) == len(files.labels) == len(data.test.labels)
    (reference,), (other,) = answers(files)
    # Two engines on the same pixels, prepared by the runtime and by us: sums in another order, of probabilities.
    assert agreement([other], [reference], "tiny").max_abs_difference < 1e-4
    assert resolve_files([ours], data=str(tiny_data)).source == "tiny"


def test_images_that_are_files_are_read_when_they_are_needed(
    foreign: Callable[[str], Path], tiny_bundle: Path, digit_folder: Path
) -> None:
    ours, other = tiny_bundle / "onnx-float32.onnx", foreign("tflite-float32")
    here, streamed = (load_dataset(digit_folder, image_size=28, stream=stream) for stream in (False, True))
    expected, found = (resolve_files([ours, other], data=data, batch=4) for data in (here, streamed))
    order = np.array([5, 0, 19])
    for one, same in zip(found.files, expected.files, strict=True):
        np.testing.assert_array_equal(one.items(order), same.items(order))
        np.testing.assert_array_equal(one.inputs["input"], same.inputs["input"])
    # of a source that is named, images take the first file's size
    assert resolve_files([ours], data=digit_folder).data.input_shape == (28, 28, 1)


def test_labels_judge_classifiers_only(write: Write, tiny_data: Path, tiny_bundle: Path) -> None:
    images: Tensors = [("x", "f4", ["n", 28, 28])]
    flat = negated(write, "flat.onnx", ["n", 28, 28])
    files = resolve_files([flat], data=str(tiny_data))
    assert files.labels is None
    assert files.notes == ("flat.onnx: the values for 'x' are without the channel",)
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2], keepdims=0)
    mean = write("mean.onnx", [node], images, [("y", "f4", ["n", 28])])
    with pytest.raises(InvalidInputError, match=r"tiny has 10 classes; .*mean.onnx has 28"):
        resolve_files([mean], data=str(tiny_data))
    small = negated(write, "small.onnx", ["n", 8, 8, 3])
    with pytest.raises(InvalidInputError, match=r"tiny has the shape \(300, 28, 28, 1\); .* expects \[None, 8, 8, 3\]"):
        resolve_files([small], data=str(tiny_data))


def test_a_data_set_is_for_one_input(two_inputs: Callable[..., Path], tiny_data: Path) -> None:
    with pytest.raises(InvalidInputError, match="has 2 inputs; a data set has images for one, so give an input"):
        resolve_files([two_inputs("two.onnx", "a", "b", ("sum", "minus"))], data=str(tiny_data))


def test_given_labels(write: Write, tmp_path: Path) -> None:
    classifier, given = negated(write, "a.onnx", ["n", 4]), tmp_path / "given.npz"
    np.savez(given, x=np.eye(4), labels=np.arange(4))
    files = resolve_files([classifier], input_file=given)
    assert files.labels is not None
    assert files.count == 1
    np.testing.assert_array_equal(files.labels, range(4))
    np.testing.assert_array_equal(files.files[0].items(slice(1, 3)), np.eye(4)[1:3])
    for labels, match in (
        ([0, 1, 2], r"labels of .* is int64 \(3,\); expected a class's number"),
        ([0.0, 1, 2, 3], "labels of .* is float64"),
        ([-1, 0, 0, 0], "from 0"),
        ([0, 1, 2, 4], r"classes up to 4; expected files with one input and an output \(N, classes\)"),
    ):
        np.savez(given, x=np.eye(4), labels=labels)
        with pytest.raises(InvalidInputError, match=match):
            resolve_files([classifier], input_file=given)
    named = negated(write, "b.onnx", ["n", 4], tensor="labels")
    np.savez(given, labels=np.eye(4))
    assert resolve_files([named], input_file=given).labels is None


def test_files_must_be_models(write: Write, foreign: Callable[[str], Path], tmp_path: Path) -> None:
    good = negated(write, "good.onnx", ["n", 4])
    with pytest.raises(InvalidInputError, match="no model file was given"):
        resolve_files([])
    with pytest.raises(InvalidInputError, match="given twice"):
        resolve_files([good, tmp_path / "." / "good.onnx"])
    with pytest.raises(NotFoundError, match=r"missing.onnx does not exist"):
        resolve_files([good, tmp_path / "missing.onnx"])
    (tmp_path / "model.h5").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"model.h5 is no model"):
        resolve_files([tmp_path / "model.h5"])
    damaged = foreign("tflite-int8")
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(IntegrityError, match=r"foreign-tflite-int8.tflite: "):
        resolve_files([damaged])


def test_files_of_one_name_are_told_apart(write: Write, tmp_path: Path, tiny_bundle: Path) -> None:
    first = negated(write, "a.onnx", ["n", 4])
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "a.onnx"
    other.write_bytes(first.read_bytes())
    names = [file.candidate.name for file in resolve_files([first, other]).files]
    assert names == [str(first), str(other)]
    (ours,) = resolve_files([tiny_bundle / "tflite-int8.tflite"]).files
    assert (ours.candidate.name, ours.candidate.variant) == ("tflite-int8.tflite", None)
    assert ours.candidate.scheme
