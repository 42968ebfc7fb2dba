from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from liteport.errors import InvalidInputError
from liteport.train.compression.kernels import Form, Kernel, kernels_of


@pytest.fixture
def dense() -> layers.Dense:
    layer = layers.Dense(5, kernel_initializer=keras.initializers.RandomNormal(seed=0))
    layer.build((None, 12))
    return layer


def form_of(layer: layers.Dense) -> Form:
    return Form(Kernel(layer.kernel, (-1,)))


def test_kernels_are_found_in_their_order_once_each() -> None:
    twice = layers.Dense(6, name="twice")
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="nested")])
    frozen = layers.Dense(6, name="frozen", trainable=False)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="convolution")(image)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2DTranspose(6, 3, name="transposed")(x)
    x = layers.SeparableConv2D(6, 3, name="separable")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, inner(frozen(twice(twice(x)))))

    found = [("/".join(kernel.variable.path.split("/")[-2:]), kernel.channels) for kernel in kernels_of(model)]
    assert found == [
        ("convolution/kernel", (-1,)),
        ("depthwise/kernel", (-2, -1)),
        ("transposed/kernel", (-2,)),
        ("separable/depthwise_kernel", (-2, -1)),
        ("separable/pointwise_kernel", (-1,)),
        ("twice/kernel", (-1,)),
        ("nested/kernel", (-1,)),
    ]


def test_a_model_without_kernels_is_refused() -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten()], name="bare")
    with pytest.raises(InvalidInputError, match="the model 'bare' has no trainable dense layer or convolution"):
        kernels_of(model)


def test_a_new_form_changes_nothing(dense: layers.Dense) -> None:
    before = dense.kernel.numpy()
    np.testing.assert_array_equal(form_of(dense)(dense.kernel), before)


def test_what_is_pruned_is_zero_in_its_bytes_too(dense: layers.Dense) -> None:
    form = form_of(dense)
    form.keep(np.zeros(dense.kernel.shape, bool))
    assert not np.signbit(form.values).any()


def test_shared_weights_are_the_nearest_kernel_of_these_codes(dense: layers.Dense) -> None:
    codes = np.random.default_rng(0).integers(-127, 128, (12, 5)).astype(np.int8)
    before = dense.kernel.numpy()
    form = form_of(dense)
    form.share(codes)
    for channel in range(5):
        column = codes[:, channel : channel + 1].astype(np.float64)
        nearest = column @ np.linalg.lstsq(column, before[:, channel], rcond=None)[0]
        np.testing.assert_allclose(form.values[:, channel], nearest, rtol=1e-5)  # float32


def test_a_channel_of_zeros_stays(dense: layers.Dense) -> None:
    codes = np.full(dense.kernel.shape, 127, np.int8)
    codes[:, 1] = 0
    form = form_of(dense)
    form.share(codes)
    assert np.isfinite(form.values).all()
    assert (form.values[:, 1] == 0).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_optimizer_keeps_the_form(dense: layers.Dense, optimizer: str) -> None:
    model = keras.Sequential([keras.Input((12,)), dense])
    form = form_of(dense)
    codes = np.resize(np.array([127, -127, 40, 0], np.int8), dense.kernel.shape)
    form.share(codes)
    before = form.values
    model.compile(optimizer, "mse", jit_compile=False)
    random = np.random.default_rng(0)
    for _ in range(3):
        model.train_on_batch(random.normal(size=(8, 12)), random.normal(size=(8, 5)))

    scales = (form.values * codes).sum(axis=0) / np.square(codes, dtype=np.float32).sum(axis=0)
    assert (form.values != before).any(axis=0).all()
    np.testing.assert_allclose(form.values, codes * scales, rtol=1e-6)  # float32
    assert (form.values[codes == 0] == 0).all()


def test_copies_and_files_of_a_model_know_nothing_of_the_form(dense: layers.Dense, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12,)), dense])
    plain = [variable.path for variable in model.variables]
    form_of(dense)
    assert [variable.path for variable in model.variables] == plain
    model.save(tmp_path / "model.keras")
    for copy in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        assert copy.layers[-1].kernel.constraint is None
