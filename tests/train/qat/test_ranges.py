from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train.qat import Range, float_model, is_quantize_aware, learned_ranges, quantize_aware, settle_biases
from liteport.train.qat.folding import fold_batch_norm


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (-0.3, 2.1), (-5.0, 1e-6), (-1.0, 127 / 128), (-0.001, 6.0)])
def test_zero_point_is_where_tensorflow_has_it(ends: tuple[float, float]) -> None:
    found = Range(*ends)
    codes = np.arange(-128, 128)
    values = ((codes - found.zero_point) * found.scale).astype(np.float32)
    kept = tf.quantization.fake_quant_with_min_max_vars(values, *ends)
    np.testing.assert_allclose(kept, values, atol=1e-5 * found.scale * 256)  # float32 of up to 256 steps
    # and no code is left at either end
    beyond = tf.quantization.fake_quant_with_min_max_vars(np.array([-9.0, 9.0], np.float32), *ends)
    np.testing.assert_allclose(beyond, values[[0, -1]], atol=1e-5 * found.scale * 256)


def test_ranges_by_the_float_models_layers(aware: keras.Model) -> None:
    found = learned_ranges(aware)

    assert list(found) == ["input", "stem_relu", "spatial_relu", "project", "add", "add_norm", "mean", "output_linear"]
    assert set(found) <= {layer.name for layer in float_model(aware).layers}
    assert 0.9 < found["input"].high <= 1
    assert found["stem_relu"].zero_point == -128
    assert found["spatial_relu"].high <= 6


def test_what_is_concatenated_and_the_concatenation_have_the_same(images: NDArray[np.float32]) -> None:
    image = keras.Input((8, 8, 3), name="input")
    wide = layers.Conv2D(2, 3, padding="same", name="wide")(image)
    both = layers.Concatenate(name="both")([image, layers.MaxPooling2D(3, 1, "same", name="pool")(wide)])
    model = quantize_aware(keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(both)))
    model(images, training=True)

    found = learned_ranges(model)
    assert list(found) == ["input", "wide", "both", "mean"]
    assert found["input"] == found["wide"] == found["both"] != found["mean"]
    assert found["both"].low < 0


def test_ranges_of_an_untrained_model_are_refused(classifier: keras.Model) -> None:
    with pytest.raises(InvalidInputError, match="'small' has not learned the range of 'input' yet; train it first"):
        learned_ranges(quantize_aware(classifier))


@pytest.mark.parametrize("read", [float_model, learned_ranges])
def test_other_models_are_refused(classifier: keras.Model, read: Callable[[keras.Model], Any]) -> None:
    with pytest.raises(InvalidInputError, match="'small' is not quantization-aware"):
        read(classifier)


def test_is_quantize_aware(aware: keras.Model, classifier: keras.Model) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        pass

    assert is_quantize_aware(aware)
    assert is_quantize_aware(keras.Sequential([keras.Input((8, 8, 3)), aware]))
    assert not is_quantize_aware(classifier)
    assert not is_quantize_aware(Own())


def test_float_model_is_the_folded_one(
    aware: keras.Model, classifier: keras.Model, images: NDArray[np.float32]
) -> None:
    plain, folded = float_model(aware), fold_batch_norm(classifier)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    assert [layer.name for layer in plain.layers[:-2]] == [layer.name for layer in folded.layers[:-1]]
    np.testing.assert_allclose(plain(images), folded(images), atol=1e-6)  # softmax apart from its dense layer


@pytest.mark.parametrize("bits", [8, 4])
def test_rounded_float_model_lacks_the_values_rounding_alone(
    bits: int, classifier: keras.Model, images: NDArray[np.float32]
) -> None:
    unlearned = quantize_aware(classifier, weight_bits=bits)
    np.testing.assert_allclose(float_model(unlearned, rounded=True)(images), unlearned(images), atol=1e-6)
    moved = np.abs(np.asarray(float_model(unlearned)(images)) - np.asarray(unlearned(images))).max()
    assert moved > 1e-4  # kernels of 8 bits are off by up to 0.4 %


@pytest.mark.parametrize("bits", [8, 4])
def test_biases_settle_where_the_integer_file_has_them(make_aware: Callable[[int], Any], bits: int) -> None:
    model = make_aware(bits)
    random = np.random.default_rng(0)
    before = {}
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            before[layer.name] = random.normal(0, 0.3, layer.bias.shape).astype(np.float32)
            layer.bias.assign(before[layer.name])
    settle_biases(model)
    ranges, plain = learned_ranges(model), float_model(model)
    # what each takes: poolings and dropout keep the range of what comes before them
    taken = {"stem": "input", "spatial": "stem_relu", "project": "spatial_relu", "add_norm": "add"}
    taken["output_linear"] = "mean"
    assert set(taken) == set(before)
    for name, source in taken.items():
        kernel, bias = plain.get_layer(name).get_weights()
        largest = np.abs(kernel.reshape(-1, bias.size)).max(axis=0).astype(np.float64)
        steps = ranges[source].scale * largest / (2 ** (bits - 1) - 1)
        codes = bias / steps
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)  # float32's rounding of some thousand steps
        assert np.all(np.abs(bias - before[name]) <= steps * 0.501)
        assert np.any(bias != before[name])
