from collections.abc import Callable
from importlib.util import find_spec as real_find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from liteport.benchmarks.limits.costs import count_costs
from liteport.errors import ConversionError, MissingDependencyError
from liteport.export import export
from liteport.export.callable_model import of_keras
from liteport.export.mnn import convert
from liteport.export.tracing import trace
from liteport.runtime import load
from liteport.runtime.backends import Backend, choose_engine
from liteport.runtime.contents import read_contents

layers = keras.layers
RNG = np.random.default_rng(0)


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., bytes]:
    def make(model: keras.Model, *, half: bool = False) -> bytes:
        return convert(trace(of_keras(model), tmp_path), 17, half=half)

    return make


def answers(content: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
    backend: Backend = choose_engine(".mnn").load(content, 1)
    return backend.run(list(arrays))


def classifier(*middle: Any, shape: tuple[int, ...] = (15, 13, 3)) -> keras.Model:
    keras.utils.set_random_seed(3)
    steps = [keras.Input(shape), *middle, layers.Flatten(), layers.Dense(4, activation="softmax", name="head")]
    return keras.Sequential(steps, name="net")


def test_names_are_the_models_and_channels_stay_last(converted: Callable[..., bytes]) -> None:
    contents = read_contents(converted(classifier(layers.Conv2D(8, 3, activation="relu", name="first"))), ".mnn")
    (given,), (result,) = contents.inputs, contents.outputs
    assert (contents.tensors[given].name, contents.tensors[given].shape) == ("input", (None, 15, 13, 3))
    assert contents.tensors[result].name == "output"
    assert any(tensor.name == "net_1/first_1/Relu" for tensor in contents.tensors)
    assert contents.metadata == {}


def test_half_precision_takes_half_the_bytes(converted: Callable[..., bytes]) -> None:
    model = classifier(layers.Conv2D(64, 3), layers.Conv2D(64, 3))
    whole, half = (len(converted(model, half=half)) for half in (False, True))
    assert half / whole == pytest.approx(0.5, abs=0.05)  # biases and names stay as they are


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param([layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Conv2D(4, 3)], id="padding apart"),
        pytest.param([layers.Conv2DTranspose(4, 3, strides=2, padding="same")], id="transposed, padded unevenly"),
        pytest.param([layers.Conv2DTranspose(4, 2, strides=2)], id="transposed"),
        pytest.param([layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()], id="depthwise"),
        pytest.param([layers.MaxPooling2D(2, padding="same"), layers.Activation("swish")], id="padded pooling"),
        pytest.param([layers.AveragePooling2D(2, padding="same")], id="padded average pooling"),
        pytest.param([layers.UpSampling2D(2, interpolation="bilinear"), layers.ReLU(6.0)], id="bilinear"),
        pytest.param([layers.Reshape((15, 39)), layers.Conv1D(4, 3), layers.LeakyReLU()], id="one dimension"),
        pytest.param([layers.Lambda(lambda x: keras.ops.cumsum(x, axis=1))], id="sums"),
    ],
)
def test_models_keep_their_answers(middle: list[Any], converted: Callable[..., bytes]) -> None:
    model = classifier(*middle)
    values = RNG.random((3, 15, 13, 3), np.float32)
    (found,) = answers(converted(model), values)
    np.testing.assert_allclose(found, model.predict(values, verbose=0), atol=1e-5)  # orders of additions differ


def test_several_inputs_and_outputs_go_by_name(tmp_path: Path) -> None:
    image, side = keras.Input((12, 12, 3), name="image"), keras.Input((5,), name="side")
    seen = layers.Flatten()(layers.Conv2D(4, 3, strides=2, activation="relu")(image))
    joined = layers.Concatenate()([layers.Dense(8, activation="relu")(seen), side])
    outputs = [layers.Dense(3, activation="softmax", name="kind")(joined), layers.Dense(1, name="size")(joined)]
    model = keras.Model([image, side], outputs)
    data = {"image": 255 * RNG.random((200, 12, 12, 3), np.float32), "side": RNG.random((200, 5), np.float32)}
    bundle = export(model, tmp_path / "b", "mnn-float32", calibration=data, try_tflite_runtime=False)
    expected = model.predict(data, verbose=0)
    with load(bundle) as loaded:
        found = loaded.run(data)
    np.testing.assert_allclose(found["kind"], expected[0], atol=1e-5)
    np.testing.assert_allclose(found["size"], expected[1], atol=1e-4)  # of numbers up to a hundred


def test_an_output_may_be_used_further_on(converted: Callable[..., bytes]) -> None:
    given = keras.Input((6,))
    first = layers.Dense(5, activation="relu", name="first")(given)
    model = keras.Model(given, [first, layers.Dense(2, name="second")(first)])
    values = RNG.random((4, 6), np.float32)
    for found, expected in zip(answers(converted(model), values), model.predict(values, verbose=0), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_image_may_come_out(converted: Callable[..., bytes]) -> None:
    image = keras.Input((12, 10, 3))
    model = keras.Model(image, layers.Conv2D(5, 3, padding="same", activation="sigmoid")(image))
    values = RNG.random((2, 12, 10, 3), np.float32)
    (found,) = answers(converted(model), values)
    np.testing.assert_allclose(found, model.predict(values, verbose=0), atol=1e-5)


def test_whole_numbers_may_go_in(converted: Callable[..., bytes]) -> None:
    words = keras.Input((6,), dtype="int32", name="words")
    model = keras.Model(words, layers.Dense(2)(layers.Flatten()(layers.Embedding(10, 4)(words))))
    values = RNG.integers(0, 10, (3, 6), np.int32)
    (found,) = answers(converted(model), values)
    np.testing.assert_allclose(found, model.predict(values, verbose=0), atol=1e-6)


def test_what_mnn_lacks_is_named_with_the_layer(
    converted: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_if_unknown(command: list[str], *_: Any, **__: Any) -> str:
        from liteport.export.isolation import ScriptError

        raise ScriptError("Converted Failed!", ["[1:2:3] :220: These Op Not Support: ONNX::Conv ", "Converted Failed!"])

    monkeypatch.setattr("liteport.export.mnn.run_program", as_if_unknown)
    with pytest.raises(ConversionError, match="it has no form of: Conv in layer 'first'"):
        converted(classifier(layers.Conv2D(4, 3, name="first")))


def test_inputs_must_be_what_mnn_takes(converted: Callable[..., bytes]) -> None:
    given = keras.Input((6,), dtype="int64", name="numbers")
    model = keras.Model(given, layers.Dense(2)(layers.Rescaling(0.5)(given)))
    with pytest.raises(
        ConversionError, match=r"input 'input' is int64 of shape \[None, 6\]; expected float32 or int32"
    ):
        converted(model)


@pytest.mark.parametrize(("module", "where"), [("_tools", "export.mnn"), ("_mnncengine", "runtime.backends")])
def test_what_is_missing_is_told_with_the_line_that_installs_it(
    module: str, where: str, converted: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> Any:
        return None if name == module else real_find_spec(name)

    monkeypatch.setattr(f"liteport.{where}.find_spec", find_spec)
    with pytest.raises(MissingDependencyError, match=r"MNN is .*run: pip install \"liteport\[mnn\]\""):
        converted(classifier())


def test_multiplications_are_counted_as_of_other_formats(converted: Callable[..., bytes]) -> None:
    middle = [
        layers.Conv2D(8, 3),
        layers.Conv2D(4, 5, strides=2),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.Conv2DTranspose(2, 2, strides=2),
        layers.Conv2D(3, 5, padding="same"),
    ]
    found = [layer for layer in count_costs(converted(classifier(*middle)), ".mnn") if layer.macs]
    places = [13 * 11 * 8, 5 * 4 * 4, 5 * 4 * 4, 5 * 4 * 4, 10 * 8 * 3, 4]
    assert [layer.macs for layer in found] == [
        count * products for count, products in zip(places, (27, 200, 9, 2 * 4, 50, 240), strict=True)
    ]
    quick = ["float32 by Winograd", "float32", "float32", "float32", "float32 by Winograd, 5×5", "float32"]
    assert [layer.compute for layer in found] == quick


def test_both_precisions_are_verified_against_keras(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "mnn-float32") as model:
        assert model.manifest is not None
        found = {entry.id: entry.verification for entry in model.manifest.variants}
    for variant, most in (("mnn-float32", 1e-3), ("mnn-float16", 5e-2)):
        verification = found[variant]
        assert verification is not None
        assert verification.top1_agreement == 1.0
        assert verification.max_abs_error < most
