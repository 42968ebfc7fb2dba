import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train.qat.folding import fold_batch_norm

BatchNorm = layers.BatchNormalization
Chain = tuple[layers.Layer, ...]

# what a chain of layers becomes, after its input
CASES: dict[str, tuple[Chain, list[str]]] = {
    "conv": ((layers.Conv2D(4, 3), BatchNorm()), ["Conv2D"]),
    "conv in groups": ((layers.Conv2D(6, 3, groups=3, use_bias=False), BatchNorm()), ["Conv2D"]),
    "depthwise": ((layers.DepthwiseConv2D(3, depth_multiplier=2), BatchNorm()), ["DepthwiseConv2D"]),
    "separable": (
        (layers.SeparableConv2D(4, 3, depth_multiplier=2, padding="same", strides=2), BatchNorm()),
        ["DepthwiseConv2D", "Conv2D"],
    ),
    "dense": ((layers.Flatten(), layers.Dense(5), BatchNorm()), ["Flatten", "Dense"]),
    "without scale": ((layers.Conv2D(4, 3), BatchNorm(scale=False)), ["Conv2D"]),
    "without offset": ((layers.Conv2D(4, 3), BatchNorm(center=False)), ["Conv2D"]),
    "twice": ((layers.Conv2D(4, 3), BatchNorm(), BatchNorm()), ["Conv2D"]),
    "after relu": ((layers.Conv2D(4, 3, activation="relu"), BatchNorm()), ["Conv2D", "DepthwiseConv2D"]),
    "first": ((BatchNorm(), layers.Conv2D(4, 3, padding="same")), ["DepthwiseConv2D", "Conv2D"]),
    "rescaling": ((layers.Rescaling([2.0, 1.0, 0.5], -1.0), layers.Flatten()), ["DepthwiseConv2D", "Flatten"]),
    "of vectors": (
        (layers.Flatten(), layers.Dense(5, activation="relu"), BatchNorm()),
        ["Flatten", "Dense", "Reshape", "DepthwiseConv2D", "Reshape"],
    ),
}


def randomized(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(2)
    model.set_weights([random.uniform(0.2, 2, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("case", CASES)
def test_folding_keeps_the_function(case: str, images: NDArray[np.float32]) -> None:
    steps, kinds = CASES[case]
    model = randomized(keras.Sequential([keras.Input((8, 8, 3)), *steps]))

    folded = fold_batch_norm(model)

    assert [type(layer).__name__ for layer in folded.layers][1:] == kinds
    # sums of up to 192 products in another order: some ten roundings of float32
    np.testing.assert_allclose(folded(images), model(images), rtol=2e-5, atol=2e-5)


def test_folding_keeps_the_function_of_branches(classifier: keras.Model, images: NDArray[np.float32]) -> None:
    before = classifier.get_weights()
    folded = fold_batch_norm(classifier)

    assert not any(isinstance(layer, BatchNorm) for layer in folded.layers)
    assert {"stem", "spatial", "add_norm", "output"} <= {layer.name for layer in folded.layers}
    np.testing.assert_allclose(folded(images), classifier(images), atol=1e-5)  # probabilities, as above
    for now, then in zip(classifier.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_what_others_take_is_not_scaled(images: NDArray[np.float32]) -> None:
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(4, 3)(image)
    model = randomized(keras.Model(image, layers.Add()([conv, BatchNorm()(conv)])))

    folded = fold_batch_norm(model)

    assert [type(layer).__name__ for layer in folded.layers][1:] == ["Conv2D", "DepthwiseConv2D", "Add"]
    np.testing.assert_allclose(folded(images), model(images), rtol=2e-5)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((layers.Conv2D(4, 3), BatchNorm(axis=1, name="rows")), "batch norm 'rows' is over axis 1; expected the last"),
        (
            (layers.Reshape((8, 24)), BatchNorm(name="norm")),
            r"layer 'norm' takes values of shape \(8, 24\); expected images or vectors",
        ),
    ],
)
def test_other_batch_norm_is_refused(steps: Chain, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fold_batch_norm(keras.Sequential([keras.Input((8, 8, 3)), *steps]))
