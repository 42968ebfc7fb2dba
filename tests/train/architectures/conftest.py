"""Designs as models and as int8 files; both untrained."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from liteport.runtime.contents import read_contents

Build = Callable[..., keras.Model]


@pytest.fixture(scope="session")
def build() -> Build:
    """Makes a model of a design: `build(design, shape, classes)`."""

    def made(design: Any, shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10) -> keras.Model:
        image = keras.Input(shape, name="input")
        return keras.Model(image, design(image, classes, dropout=0.1), name=design.__name__)

    return made


@pytest.fixture(scope="session")
def to_int8(tmp_path_factory: pytest.TempPathFactory) -> Callable[[keras.Model], bytes]:
    """Makes the full-integer file of a model, whose size and operations do not depend on what it learned."""
    from liteport.export.callable_model import of_keras
    from liteport.export.tflite import Int8Session, TFLiteOptions
    from liteport.export.tracing import trace

    def made(model: keras.Model) -> bytes:
        generator = np.random.default_rng(0)
        # no two equal constants, which the file would hold once: the biases of a new model are all zero
        model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
        noise = generator.random((4, *model.input_shape[1:]), np.float32)
        traced = trace(of_keras(model), tmp_path_factory.mktemp(model.name))
        return Int8Session(traced, {"input": noise}, TFLiteOptions("int8", "int8")).quantize()

    return made


@pytest.fixture(scope="session")
def kinds() -> Callable[[bytes], list[str]]:
    """Lists the operations of a TFLite file, in order."""
    return lambda content: [op.kind for op in read_contents(content, ".tflite").ops]
