import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from liteport.errors import BackendError, IntegrityError, InvalidInputError
from liteport.export.tflite_parts import take_apart
from liteport.runtime import load
from liteport.runtime.backends import choose_engine
from liteport.runtime.backends.litert import LiteRTBackend
from liteport.terminal import muted


class Counter(Protocol):
    """A file with the signatures `add` and `add_all`, which add to a variable, and `pair`, which leaves it alone."""

    def __call__(self, *signatures: str) -> Path: ...


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    """Makes a file with some of the signatures; under other names, where they are `name=add`."""
    import tensorflow as tf

    total = tf.Variable(tf.zeros([1, 3]), trainable=False)
    module = tf.Module()
    module.total = total
    one, many, any_two = (tf.TensorSpec(shape, tf.float32, "x") for shape in ([1, 3], [None, 3], [None, None]))
    functions = {
        "add": tf.function(lambda x: {"total": total.assign_add(x)}, [one]),
        "add_all": tf.function(lambda x: {"total": total.assign_add(tf.reduce_sum(x, 0, keepdims=True))}, [many]),
        "pair": tf.function(lambda x: {"double": x * 2.0, "sum": tf.reduce_sum(x)}, [any_two]),
    }

    def make(*signatures: str) -> Path:
        folder = tmp_path_factory.mktemp("signatures")
        chosen = {name.partition("=")[0]: functions[name.rpartition("=")[2]] for name in signatures}
        with muted():
            tf.saved_model.save(module, str(folder / "saved"), chosen)
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"), list(chosen))
            converter.experimental_enable_resource_variables = True
            (folder / "small.tflite").write_bytes(converter.convert())
        return folder / "small.tflite"

    return make


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Converts a TensorFlow function with given input tensors; `options` are the converter's."""
    import tensorflow as tf

    def make(function: Callable[..., Any], *specs: tuple[list[int | None], Any], **options: Any) -> Path:
        signature = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        for name, value in options.items():
            setattr(converter, name, value)
        content = converter.convert()
        path = tmp_path_factory.mktemp("tflite") / "small.tflite"
        path.write_bytes(content)
        return path

    return make


def test_tensors_are_described_as_the_file_has_them(tiny_bundle: Path) -> None:
    engine = choose_engine(".tflite")
    backend = engine.load((tiny_bundle / "tflite-int8.tflite").read_bytes(), 1)
    (given,), (result,) = backend.inputs, backend.outputs
    assert (given.name, given.dtype, given.shape, given.zero_point) == ("input", "int8", (None, 28, 28, 1), -128)
    assert given.scale == pytest.approx(1 / 255, rel=1e-6)  # stored as float32
    assert (result.name, result.dtype, result.shape) == ("output", "int8", (None, 10))
    assert re.fullmatch(r"ai-edge-litert \d+\.\d+\.\d+ \((XNNPACK|built-in kernels)\)", str(backend.info))
    backend.close()


def test_the_shape_changes_back_after_a_call_that_failed(tiny_bundle: Path) -> None:
    backend = choose_engine(".tflite").load((tiny_bundle / "tflite-float32.tflite").read_bytes(), 1)
    image = np.full((1, 28, 28, 1), 0.5, np.float32)
    before = backend.run([image])[0]
    with pytest.raises(BackendError, match=r"ai-edge-litert .* failed: ."):
        backend.run([np.zeros((1, 5, 5, 1), np.float32)])
    np.testing.assert_array_equal(backend.run([image])[0], before)


def test_the_shape_changes_back_after_a_call_that_failed_half_way(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("ai_edge_litert.interpreter")
    content = (tiny_bundle / "tflite-float32.tflite").read_bytes()
    backend = LiteRTBackend(content, 1, "ai-edge-litert", module)
    image = np.full((1, 28, 28, 1), 0.5, np.float32)
    before = backend.run([image])[0]

    def out_of_memory(self: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:  # the inputs have their new shape by then, the rest of the graph has not
        patch.setattr(module.Interpreter, "allocate_tensors", out_of_memory)
        with pytest.raises(BackendError, match=r"ai-edge-litert .* failed: no memory"):
            backend.run([np.zeros((3, 28, 28, 1), np.float32)])
    np.testing.assert_array_equal(backend.run([image])[0], before)


def test_a_fixed_batch_is_filled_up(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    path = convert(lambda x: x * 2.0 + 1.0, ([4, 3], tf.float32))
    values = np.arange(30, dtype=np.float32).reshape(10, 3)
    with load(path) as model:
        assert model.input.shape == (4, 3)
        for count in (0, 1, 3, 4, 5, 8, 10):
            np.testing.assert_array_equal(model.predict(values[:count]), values[:count] * 2 + 1)


def test_a_file_without_a_batch_is_not_cut_into_parts(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    path = convert(lambda x: tf.reduce_sum(x, axis=0), ([4, 3], tf.float32))
    with load(path) as model:
        np.testing.assert_array_equal(model.predict(np.ones((4, 3), np.float32)), [4, 4, 4])
        with pytest.raises(InvalidInputError, match="so they cannot be run in parts; pass exactly 4"):
            model.predict(np.ones((5, 3), np.float32))


def test_an_output_may_be_a_single_number(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    with load(convert(lambda x: tf.reduce_sum(x), ([4, 3], tf.float32))) as model:
        assert model.predict(np.ones((4, 3), np.float32)) == 12


def test_an_input_may_be_a_single_number(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    path = convert(lambda x, n: tf.fill([n], x), ([], tf.float32), ([], tf.int32))
    with load(path) as model:
        number, count = (spec.name for spec in model.inputs)
        (values,) = model.run({number: 0.5, count: 3}).values()
        np.testing.assert_array_equal(values, [0.5, 0.5, 0.5])


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # the samples are these statistics
def test_a_quantized_output_may_be_a_single_number(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    samples = [[np.array([[value]], np.float32)] for value in (0.0, 1.0)]
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: iter(samples),
        "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
        "inference_input_type": tf.int8,
        "inference_output_type": tf.int8,
    }
    with load(convert(lambda x: tf.reshape(x * x, []), ([1, 1], tf.float32), **options)) as model:
        result = model.predict(np.ones((1, 1), np.float32))
        assert (type(result), result.shape, result.dtype) == (np.ndarray, (), np.float32)
        assert result == pytest.approx(1, abs=1 / 255)  # one step of the quantized output


def test_text_and_complex_numbers_are_refused(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    with pytest.raises(BackendError, match="'x' holds text; expected tensors of booleans, integers or floating"):
        load(convert(lambda x: tf.identity(x), ([2], tf.string)))
    with pytest.raises(BackendError, match="holds complex64; expected"):
        load(convert(lambda x: tf.signal.rfft(x), ([1, 64], tf.float32)))


def test_what_no_engine_brings_is_named(convert: Callable[..., Path]) -> None:
    """The engine names the operator at the end of a page on Android."""
    import tensorflow as tf

    determinant = [lambda x: tf.linalg.det(x), ([None, 3, 3], tf.float32)]
    for options, told in (
        (
            {"target_spec": select_tf_ops()},
            r"needs TensorFlow's own MatrixDeterminant; convert it with TFLITE_BUILTINS",
        ),
        (
            {"allow_custom_ops": True},
            r"needs the custom operator MatrixDeterminant, which this engine has not; use",
        ),
    ):
        with pytest.raises(BackendError, match=rf"^ai-edge-litert [\d.]+ refuses this model: it {told}"):
            load(convert(*determinant, **options))


def select_tf_ops() -> Any:
    import tensorflow as tf

    return tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS])


def test_free_sizes_may_need_to_be_more_than_1(convert: Callable[..., Path]) -> None:
    """The engine makes itself ready for sizes of 1 first, which are too small for a filter of 3 x 3."""
    import tensorflow as tf

    ones = tf.ones([3, 3, 1, 1])
    path = convert(lambda x: tf.nn.conv2d(x, ones, 1, "VALID"), ([None, None, None, 1], tf.float32))
    with load(path) as model:
        assert model.input.shape == (None, None, None, 1)
        for height, width in ((3, 3), (5, 8), (2, 2), (4, 4)):
            image = np.ones((1, height, width, 1), np.float32)
            if height < 3:
                with pytest.raises(BackendError, match=r"^ai-edge-litert .* failed: ."):
                    model.predict(image)
            else:
                np.testing.assert_array_equal(model.predict(image), np.full((1, height - 2, width - 2, 1), 9))


def test_empty_arrays_are_refused(convert: Callable[..., Path]) -> None:
    """LiteRT gives shapes of chance to what is computed from them, after it has computed something else."""
    import tensorflow as tf

    path = convert(lambda x: x + 1.0, ([None, None], tf.float32))
    with load(path) as model:
        for shape in ((0, 3), (3, 0)):
            with pytest.raises(
                InvalidInputError, match=rf"have shape \({shape[0]}, {shape[1]}\); .* at least one value"
            ):
                model.run({model.input.name: np.ones(shape, np.float32)})
        np.testing.assert_array_equal(model.predict(np.ones((2, 3), np.float32)), np.full((2, 3), 2))


def test_outputs_of_one_name_are_numbered(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    path = convert(lambda x: (doubled := x * 2.0, doubled), ([2, 3], tf.float32))
    with load(path) as model:
        results = model.run({model.input.name: np.ones((2, 3))})
        first, second = results
        assert second == f"{first}:1"
        np.testing.assert_array_equal(results[first], results[second])


def test_a_signature_is_chosen_by_name(counter: Counter) -> None:
    path = counter("add", "pair")
    with pytest.raises(
        InvalidInputError, match=r"has the signatures \['add', 'pair'\]; name one of them: signature=..."
    ):
        load(path)
    with pytest.raises(InvalidInputError, match="unknown signature 'pear'; did you mean 'pair'"):
        load(path, signature="pear")
    with load(path, signature="pair") as model:
        assert [spec.name for spec in model.outputs] == ["double", "sum"]
        for count in (1, 4, 1):
            results = model.run({"x": np.ones((count, 5), np.float32)})
            np.testing.assert_array_equal(results["double"], np.full((count, 5), 2))
            assert results["sum"] == 5 * count


def test_the_signature_that_is_meant_if_none_is_named(counter: Counter) -> None:
    with load(counter("pair", "serving_default=add")) as model:
        assert [spec.name for spec in model.outputs] == ["total"]


def test_variables_are_kept_from_call_to_call(counter: Counter) -> None:
    path, one = counter("add"), np.ones((1, 3), np.float32)
    with load(path) as model, load(path) as other:
        totals = [model.run({"x": one})["total"][0, 0], *(model.predict(one)[0, 0] for _ in range(2))]
        assert totals == [1, 2, 3]
        for several in (np.ones((3, 3), np.float32), one[:0]):  # neither in parts, nor an answer that nothing ran for
            with pytest.raises(InvalidInputError, match=r"expected \[1, 3\]; what the model keeps from one call goes"):
                model.predict(several)
        assert model.predict(one)[0, 0] == 4
        assert other.predict(one)[0, 0] == 1  # each model has variables of its own


def test_calls_of_all_sizes_share_the_variables(counter: Counter) -> None:
    with load(counter("add_all")) as model:
        totals = [model.predict(np.ones((count, 3), np.float32))[0, 0] for count in (1, 2, 1, 100, 1)]
        assert totals == [1, 3, 4, 104, 105]


def zeroed(content: bytes, start: int, stop: int) -> bytes:
    return content[:start] + bytes(stop - start) + content[stop:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"TFL3",
        lambda content: content[:8],
        lambda content: content[:1000],
        lambda content: content[: len(content) // 2],
        lambda content: b"hello" * 100,
        lambda content: zeroed(content, 0, 64),
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "magic only", "8 bytes", "1000 bytes", "half", "text", "no header", "zeros"],
)
def test_a_broken_file_is_refused(spoil: Callable[[bytes], bytes], tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(spoil((tiny_bundle / "tflite-int8.tflite").read_bytes()))
    # Most are found when the file is asked what it says of itself, the others by the engine.
    told = r"^(the TFLite file is damaged: .|ai-edge-litert [\d.]+ refuses this model: .)"
    with pytest.raises((IntegrityError, BackendError), match=told) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [b"output", b"serving_default"])  # a signature's and a tensor's
def test_a_name_that_is_no_text_is_refused(name: bytes, tiny_bundle: Path, tmp_path: Path) -> None:
    content = (tiny_bundle / "tflite-float32.tflite").read_bytes()
    path = tmp_path / "broken.tflite"
    bare = take_apart(content).model  # what liteport adds has a digest, which would notice
    path.write_bytes(bare.replace(name, b"\xff" * len(name)))
    with pytest.raises(IntegrityError, match=r"the text at byte \d+ is not UTF-8"):
        load(path)
