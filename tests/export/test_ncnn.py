from collections.abc import Callable
from importlib.util import find_spec as real_find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from liteport.errors import ConversionError, MissingDependencyError
from liteport.export import export
from liteport.export.callable_model import of_keras
from liteport.export.ncnn import convert
from liteport.export.tracing import trace
from liteport.runtime import load
from liteport.runtime.backends import Backend, choose_engine
from liteport.runtime.model_files import parted

layers = keras.layers
RNG = np.random.default_rng(0)


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., bytes]:
    def make(model: keras.Model, *, half: bool = False) -> bytes:
        return convert(trace(of_keras(model), tmp_path), 17, half=half)

    return make


def lines(content: bytes) -> list[list[str]]:
    return [line.split() for line in parted(content, ".param")[0].decode().splitlines()[2:]]


def answers(content: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
    backend: Backend = choose_engine(".param").load(content, 1)
    return backend.run([np.asarray(array, np.float32) for array in arrays])


def classifier(*middle: Any, shape: tuple[int, ...] = (15, 13, 3)) -> keras.Model:
    keras.utils.set_random_seed(3)
    steps = [keras.Input(shape), *middle, layers.Flatten(), layers.Dense(4, activation="softmax", name="head")]
    return keras.Sequential(steps, name="net")


def test_channels_come_first_and_names_are_the_models(converted: Callable[..., bytes]) -> None:
    content = converted(classifier(layers.Conv2D(8, 3, activation="relu", name="first")))
    first, convolution, *_, last = lines(content)
    assert first == ["Input", "in0", "0", "1", "input", "0=13", "1=15", "2=3"]
    assert (convolution[0], convolution[5]) == ("Convolution", "net_1/first_1/convrelu_0")
    assert last[5] == "output"
    assert not {"Permute", "Reshape"} & {line[0] for line in lines(content)}  # nothing is turned while it runs


def test_half_precision_takes_half_the_bytes(converted: Callable[..., bytes]) -> None:
    model = classifier(layers.Conv2D(16, 3))
    whole, half = (len(parted(converted(model, half=half), ".param")[1]) for half in (False, True))
    assert half / whole == pytest.approx(0.5, abs=0.01)  # biases and tags stay as they are


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param([layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Conv2D(4, 3)], id="padding apart"),
        pytest.param([layers.Conv2DTranspose(4, 3, strides=2, padding="same")], id="transposed, padded unevenly"),
        pytest.param([layers.Conv2DTranspose(4, 2, strides=2)], id="transposed"),
        pytest.param([layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()], id="depthwise"),
        pytest.param([layers.MaxPooling2D(2, padding="same"), layers.Activation("swish")], id="padded pooling"),
        pytest.param([layers.UpSampling2D(2, interpolation="bilinear"), layers.ReLU(6.0)], id="bilinear"),
        pytest.param([layers.Reshape((15, 39)), layers.Conv1D(4, 3), layers.LeakyReLU()], id="one dimension"),
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
    pixels, numbers = RNG.integers(0, 256, (100, 12, 12, 3), np.uint8), RNG.random((100, 5), np.float32)
    data = {"image": pixels, "side": numbers}
    bundle = export(model, tmp_path / "b", "ncnn-float32", calibration=data, preprocessing={"scale": 1 / 255})
    expected = model.predict({"image": pixels / np.float32(255), "side": numbers}, verbose=0)
    with load(bundle) as loaded:
        found = loaded.run(data)
    np.testing.assert_allclose(found["kind"], expected[0], atol=1e-5)
    np.testing.assert_allclose(found["size"], expected[1], atol=1e-5)


def test_an_image_may_come_out(converted: Callable[..., bytes]) -> None:
    image = keras.Input((12, 10, 3))
    model = keras.Model(image, layers.Conv2D(5, 3, padding="same", activation="sigmoid")(image))
    values = RNG.random((2, 12, 10, 3), np.float32)
    (found,) = answers(converted(model), values)
    np.testing.assert_allclose(found, model.predict(values, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("middle", "says"),
    [
        ([layers.AveragePooling2D(2, padding="same", name="thin")], "has no layer for: AveragePool in layer 'thin'"),
        ([layers.Lambda(lambda x: keras.ops.cumsum(x, axis=1), name="sums")], "CumSum in layer 'sums'"),
    ],
)
def test_what_ncnn_lacks_is_named_with_the_layer(middle: list[Any], says: str, converted: Callable[..., bytes]) -> None:
    with pytest.raises(ConversionError, match=says):
        converted(classifier(*middle))


def test_inputs_must_be_what_ncnn_takes(converted: Callable[..., bytes]) -> None:
    words = keras.Input((6,), dtype="int32", name="words")
    model = keras.Model(words, layers.Dense(2)(layers.Flatten()(layers.Embedding(10, 4)(words))))
    with pytest.raises(ConversionError, match=r"input 'input' is int32 of shape \[None, 6\]; expected float32"):
        converted(model)


@pytest.mark.parametrize(("package", "line"), [("pnnx", r"pip install \"liteport\[ncnn\]\""), ("ncnn", "install ncnn")])
def test_what_is_missing_is_told_with_the_line_that_installs_it(
    package: str, line: str, converted: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> Any:
        return None if name == package else real_find_spec(name)

    monkeypatch.setattr("liteport.export.ncnn.find_spec", find_spec)
    monkeypatch.setattr("liteport.runtime.backends.find_spec", find_spec)
    with pytest.raises(MissingDependencyError, match=rf"{package} is .*run: .*{line}"):
        converted(classifier())


def test_both_precisions_are_verified_against_keras(tiny_bundle: Path) -> None:
    with load(tiny_bundle, "ncnn-float32") as model:
        assert model.manifest is not None
        found = {entry.id: entry.verification for entry in model.manifest.variants}
    for variant, most in (("ncnn-float32", 1e-3), ("ncnn-float16", 5e-2)):
        verification = found[variant]
        assert verification is not None
        assert verification.top1_agreement == 1.0
        assert verification.max_abs_error < most
