from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.export.callable_model import of_keras
from liteport.export.onnx import OnnxOptions, convert
from liteport.export.tracing import trace
from liteport.runtime.backends import choose_engine

layers = keras.layers


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize(
    "layer",
    [
        # 7/12 in single precision is less than that: 6 rows, and with more of it a wrong neighbour in the middle
        layers.Resizing(7, 20, interpolation="nearest"),
        layers.Resizing(20, 7),
        layers.Conv2DTranspose(2, 3, strides=2, output_padding=1),
    ],
)
def test_sizes_are_those_of_the_layer(layer: keras.layers.Layer, batch: int | None, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12, 12, 1), batch_size=batch), layer])
    inputs = np.random.default_rng(0).random((2, 12, 12, 1), np.float32)
    backend = choose_engine(".onnx").load(convert(trace(of_keras(model), tmp_path), None, OnnxOptions()), threads=1)
    (found,) = backend.run([inputs])
    backend.close()
    # positions between pixels are rounded in single precision, at most 20 pixels across: 20 * 2^-23
    np.testing.assert_allclose(found, model(inputs), rtol=0, atol=1e-5)
