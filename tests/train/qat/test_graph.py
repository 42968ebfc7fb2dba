import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train.qat.graph import build, read


def of_image(*chain: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3), name="input"), *chain], name="chain")


def test_a_model_read_and_built_is_the_same(classifier: keras.Model, images: NDArray[np.float32]) -> None:
    built = build(read(classifier))

    assert (built.name, built.input_shape, built.output_shape) == ("small", (None, 8, 8, 3), (None, 4))
    assert {layer.name for layer in built.layers} == {layer.name for layer in classifier.layers}
    np.testing.assert_array_equal(built(images), classifier(images))


def test_calls_follow_those_that_they_take_from(classifier: keras.Model) -> None:
    graph = read(classifier)
    ready = {graph.input}
    for call in graph.calls:
        assert ready.issuperset(call.inputs)
        ready.add(call.name)
    assert graph.output == "output"


def test_models_within_a_model_are_dissolved(images: NDArray[np.float32]) -> None:
    inner = of_image(layers.Conv2D(3, 1, name="conv"), of_image(layers.Conv2D(4, 3, name="conv")))
    outer = of_image(layers.Conv2D(3, 1, name="conv"), inner, layers.Flatten())

    built = build(read(outer))

    assert [layer.name for layer in built.layers][1:4] == ["conv", "conv_2", "conv_3"]
    np.testing.assert_array_equal(built(images), outer(images))


def test_a_layer_without_weights_may_be_used_twice(images: NDArray[np.float32]) -> None:
    relu = layers.ReLU(name="relu")
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, relu(layers.Conv2D(2, 3)(relu(image))))

    built = build(read(model))

    assert [call.name for call in read(model).calls if call.kind is layers.ReLU] == ["relu", "relu_2"]
    np.testing.assert_array_equal(built(images), model(images))


def test_float32_whatever_the_policy_is(classifier: keras.Model) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        built = build(read(classifier))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in built.layers[1:]} == {"float32"}  # after the input, which computes nothing


def test_what_is_no_chain_of_layers_is_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        pass

    image, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 1, name="conv")
    dropped = layers.Dropout(0.5, name="drop")(image, training=True)
    for model, message in (
        (Own(), "expected a built Sequential or functional Keras model, found 'own' of the class Own"),
        (keras.Sequential([layers.Dense(2)], name="open"), "found 'open' of the class Sequential"),
        (keras.Model([image, other], layers.Add()([image, other]), name="two"), "found 'two' with 2 and 1"),
        (keras.Model(image, [conv(image), image], name="both"), "found 'both' with 1 and 2"),
        (keras.Model(image, conv(conv(image))), "the layer 'conv' is used twice"),
        (keras.Model(image, image + conv(image)), "such as keras.layers.Add in place of +"),
        (keras.Model(image, dropped), "the layer 'drop' is called with {'training': True}"),
    ):
        with pytest.raises(InvalidInputError, match=message.replace("+", r"\+")):
            read(model)
