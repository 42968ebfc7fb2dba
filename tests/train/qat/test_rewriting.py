from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train import Dataset
from liteport.train.precision import copy_with_policy
from liteport.train.qat import quantize_aware, weight_bits
from liteport.train.qat.layers import FakeQuantize, FakeQuantizedDense


def rounded_places(model: keras.Model) -> list[str]:
    return [layer.name.removesuffix("_range") for layer in model.layers if isinstance(layer, FakeQuantize)]


def of_image(build: Callable[[keras.KerasTensor], keras.KerasTensor]) -> keras.Model:
    image = keras.Input((8, 8, 3), name="input")
    return keras.Model(image, layers.Dense(4, activation="softmax", name="output")(layers.Flatten()(build(image))))


def test_ranges_stand_where_the_integer_file_has_them(aware: keras.Model) -> None:
    # not between a convolution and its relu, not after a pooling that picks, not at the probabilities
    assert rounded_places(aware) == [
        *("input", "stem_relu", "spatial_relu", "project", "add", "add_norm", "mean", "output_linear"),
    ]
    assert aware.layers[-1].name == "output"
    assert isinstance(aware.get_layer("output_linear"), FakeQuantizedDense)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in aware.layers)


def test_an_activation_goes_into_what_is_before_it_past_dropout() -> None:
    model = of_image(lambda x: layers.ReLU(name="relu")(layers.Dropout(0.5)(layers.Conv2D(2, 3, name="conv")(x))))
    assert rounded_places(quantize_aware(model)) == ["input", "relu", "output_linear"]


def test_an_activation_stands_alone_where_others_take_what_is_before_it() -> None:
    def build(x: keras.KerasTensor) -> keras.KerasTensor:
        conv = layers.Conv2D(2, 3, name="conv")(x)
        return layers.Add(name="add")([conv, layers.ReLU(name="relu")(conv)])

    assert rounded_places(quantize_aware(of_image(build))) == ["input", "conv", "relu", "add", "output_linear"]


def test_what_is_several_operations_is_spelled_out(images: NDArray[np.float32]) -> None:
    def build(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.SeparableConv2D(3, 3, padding="same", activation="silu", name="conv")(x)
        return layers.Add(name="add")([x, layers.Conv2D(3, 1, activation="tanh", name="gate")(x), x])

    model = of_image(build)
    aware = quantize_aware(model)

    assert rounded_places(aware) == [
        *("input", "conv_depthwise", "conv_linear", "conv_sigmoid", "conv", "gate_linear", "gate"),
        *("add_of_2", "add", "output_linear"),
    ]
    assert aware.get_layer("conv_sigmoid_range").fixed == (0, 255 / 256)
    assert aware.get_layer("gate_range").fixed == (-1, 127 / 128)
    aware(images, training=True)
    # probabilities; the roundings of ten values add up to some steps of 1/256
    np.testing.assert_allclose(aware(images), model(images), atol=0.03)


def test_what_is_concatenated_has_one_range(images: NDArray[np.float32]) -> None:
    def build(x: keras.KerasTensor) -> keras.KerasTensor:
        one = layers.Conv2D(2, 3, padding="same", name="one")(x)
        two = layers.Conv2D(3, 3, padding="same", activation="relu", name="two")(one)
        near = layers.Concatenate(name="near")([one, two])
        far = layers.Conv2D(2, 1, name="far")(near)
        return layers.Concatenate(name="all")([near, layers.MaxPooling2D(1, name="pool")(far)])

    aware = quantize_aware(of_image(build))
    assert rounded_places(aware) == ["input", "one", "output_linear"]
    aware(images, training=True)
    shared = aware.get_layer("one_range")
    assert shared.shared
    assert len(shared._inbound_nodes) == 3
    # all values passed on are codes of the one range
    values = keras.Model(aware.input, aware.get_layer("all").output)(images)
    codes = np.asarray(values) / (float(shared.high - shared.low) / 255)
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)  # of up to 255, in float32


def test_bits_by_layer(classifier: keras.Model) -> None:
    assert set(weight_bits(quantize_aware(classifier, weight_bits=4)).values()) == {4}
    assert weight_bits(quantize_aware(classifier, weight_bits={"spatial": 4, "output": 4})) == {
        "stem": 8,
        "spatial": 4,
        "project": 8,
        "add_norm": 8,
        "output_linear": 4,
    }


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (5, "weight_bits of 'stem': expected 4 or 8, found 5"),
        ({"project": 2}, "weight_bits of 'project': expected 4 or 8, found 2"),
        ({"projekt": 4}, "unknown layer with a kernel 'projekt'; did you mean 'project'?"),
        ({"pool": 4}, "unknown layer with a kernel 'pool'"),
    ],
)
def test_other_bits_are_refused(classifier: keras.Model, bits: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        quantize_aware(classifier, weight_bits=bits)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.LayerNormalization(name="norm"), "layer 'norm': its class LayerNormalization has no integer form"),
        (
            layers.Conv2D(2, 1, activation="gelu", name="conv"),
            "layer 'conv': its activation 'gelu' has no",
        ),
        (layers.ReLU(1.0, name="one"), r"layer 'one': its activation 'relu with maximum, slope and threshold \(1.0,"),
        (layers.Softmax(axis=1, name="rows"), "layer 'rows': its activation 'softmax over axis 1' has no integer form"),
    ],
)
def test_layers_without_an_integer_form_are_named(layer: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        quantize_aware(of_image(layer))


def test_concatenated_probabilities_are_refused() -> None:
    model = of_image(lambda x: layers.Concatenate(name="both")([x, layers.Activation("sigmoid")(x)]))
    with pytest.raises(InvalidInputError, match="layer 'both' concatenates what softmax, sigmoid or tanh gives"):
        quantize_aware(model)


def test_once_is_enough(aware: keras.Model) -> None:
    with pytest.raises(InvalidInputError, match="'small' is quantization-aware already"):
        quantize_aware(aware)


def test_survives_copies_and_files(aware: keras.Model, images: NDArray[np.float32], tmp_path: Path) -> None:
    expected = aware(images)
    np.testing.assert_array_equal(copy_with_policy(aware, "float32")(images), expected)
    aware.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), expected)
    with pytest.raises(InvalidInputError, match="train with precision float32"):
        copy_with_policy(aware, "mixed_bfloat16")


def test_learns_with_4_bits(make_model: Callable[[], Any], dataset: Dataset) -> None:
    model = quantize_aware(make_model(), weight_bits=4)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", jit_compile=False)
    images = dataset.train.images / np.float32(255)
    losses = model.fit(images, dataset.train.labels, epochs=4, batch_size=16, verbose=0).history["loss"]

    assert losses[-1] < 0.75 * losses[0]  # seen: from 2.27 to 1.47, 0.65 of it
    kernel = np.asarray(model.get_layer("output_linear").rounded_kernel())
    assert max(len(np.unique(np.round(column, 6))) for column in kernel.T) <= 15
