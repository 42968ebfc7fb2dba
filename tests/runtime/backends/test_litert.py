import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liteport.errors import BackendError, IntegrityError, InvalidInputError
from liteport.export.tflite_parts import take_apart
from liteport.runtime import load
from liteport.runtime.backends import choose_engine
from liteport.runtime.backends.litert import LiteRTBackend


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Converts a TensorFlow function with given input tensors."""
    import tensorflow as tf

    def make(function: Callable[..., Any], *specs: tuple[list[int | None], Any]) -> Path:
        signature = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        content = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
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


def test_text_is_refused(convert: Callable[..., Path]) -> None:
    import tensorflow as tf

    path = convert(lambda x: tf.identity(x), ([2], tf.string))
    with pytest.raises(BackendError, match="only numeric tensors can be used"):
        load(path)


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
    with pytest.raises(IntegrityError, match="the text at byte \\d+ is not UTF-8"):
        load(path)
