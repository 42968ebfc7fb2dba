import keras
import numpy as np
import pytest
import tensorflow as tf

from liteport.train.architectures.normalization import FusedBatchNormalization


def _pair(shape: tuple[int, ...]) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    plain = keras.layers.BatchNormalization(momentum=0.7)
    plain.build((None, *shape))
    generator = np.random.default_rng(0)
    plain.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in plain.get_weights()])
    fused = FusedBatchNormalization.from_config(plain.get_config())
    fused.build((None, *shape))
    fused.set_weights(plain.get_weights())
    return plain, fused


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 4), (6,)])
def test_trains_as_the_plain_layer_does(shape: tuple[int, ...]) -> None:
    images = tf.constant(np.random.default_rng(1).normal(2, 3, (8, *shape)).astype(np.float32))
    results = []
    for layer in _pair(shape):
        with tf.GradientTape() as tape:
            tape.watch(images)
            given = layer(images, training=True)
            loss = tf.reduce_sum(given**3)
        gradients = tape.gradient(loss, [images, *(weight.value for weight in layer.trainable_weights)])
        results.append([given, *gradients, *layer.get_weights()])
    for plain, fused in zip(*results, strict=True):
        # float32 sums of up to 280 products in another order; cubes and gradients reach some hundreds
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("how", [{"training": False}, {"training": True, "frozen": True}])
def test_uses_what_it_learned_where_it_does_not_train(how: dict[str, bool]) -> None:
    images = tf.constant(np.random.default_rng(1).normal(2, 3, (8, 5, 7, 3)).astype(np.float32))
    plain, fused = _pair((5, 7, 3))
    plain.trainable = fused.trainable = not how.get("frozen", False)
    before = fused.get_weights()
    training = how["training"]
    np.testing.assert_array_equal(fused(images, training=training), plain(images, training=training))
    for old, new in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_computes_in_bfloat16() -> None:
    layer = FusedBatchNormalization(dtype="mixed_bfloat16")
    images = tf.cast(np.random.default_rng(1).normal(2, 3, (8, 5, 7, 3)), tf.bfloat16)
    given = layer(images, training=True)
    assert given.dtype == tf.bfloat16
    assert layer.moving_mean.dtype == "float32"
    # 280 normal values: their mean is 2 within 4 standard errors of 3 / sqrt(280); a hundredth of it is taken over
    np.testing.assert_allclose(layer.moving_mean, 0.02, atol=0.01)
