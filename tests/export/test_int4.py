from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError
from liteport.export.callable_model import of_keras
from liteport.export.embedding import embed
from liteport.export.int4 import convert_int4, quantize_int4
from liteport.export.tflite import TFLiteOptions, convert
from liteport.export.tracing import Traced, trace
from liteport.runtime.contents import Tensor, read_contents

layers = keras.layers


def model() -> keras.Model:
    """Large enough that weights matter: LiteRT's quantizer writes files of 256 kB and more in another layout."""
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(16, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(400, activation="relu", name="wide"),
            layers.Dense(2, name="narrow"),
        ],
        name="net",
    )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return trace(of_keras(model()), tmp_path_factory.mktemp("traced"))


@pytest.fixture(scope="module")
def float_file(traced: Traced) -> bytes:
    return convert(traced, None, TFLiteOptions())


@pytest.fixture(scope="module")
def int4_file(float_file: bytes) -> bytes:
    return quantize_int4(float_file)


def weights(content: bytes, layer: str) -> Tensor:
    """A layer's weights: its largest constant."""
    constants = [t for t in read_contents(content, ".tflite").tensors if t.constant and f"/{layer}" in t.name]
    return max(constants, key=lambda tensor: tensor.size_bytes)


def outputs(content: bytes, images: NDArray[Any]) -> NDArray[np.float32]:
    interpreter = Interpreter(model_content=content)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, images)
    interpreter.invoke()
    found: NDArray[np.float32] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found


def test_large_dense_layers_have_four_bits_and_others_eight(float_file: bytes, int4_file: bytes) -> None:
    wide = weights(int4_file, "wide")
    assert (wide.dtype, len(wide.scales)) == ("int4", 400)
    assert wide.size_bytes * 8 == weights(float_file, "wide").size_bytes
    assert weights(int4_file, "conv").dtype == weights(int4_file, "narrow").dtype == "int8"


def test_answers_are_as_near_as_four_bits_can_be(float_file: bytes, int4_file: bytes) -> None:
    images = np.random.default_rng(0).random((40, 12, 12, 3), np.float32)
    reference, found = outputs(float_file, images), outputs(int4_file, images)
    noise = float(10 * np.log10((reference**2).sum() / ((reference - found) ** 2).sum()))
    # Uniform weights on 15 levels: a step is 2/14 of the largest, its error 1/sqrt(12) of that, so 23 dB below the
    # weights' own size of 1/sqrt(3). Half of that in dB would be an error; 8 bits would have 40 and more.
    assert 12 < noise < 35


def test_runtimes_without_the_kernels_refuse_the_file(int4_file: bytes) -> None:
    contents = read_contents(int4_file, ".tflite")
    versions = {op.kind: op.version for op in contents.ops}
    # tflite-runtime 2.14 has dense layers up to version 11; it would take a lower one's 4-bit weights for 8-bit ones.
    assert versions["FULLY_CONNECTED"] == 12
    assert versions["CONV_2D"] == 5
    assert contents.minimum_runtime is None  # what the float model said of itself no longer holds


def test_documents_can_be_embedded(int4_file: bytes) -> None:
    images = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    embedded = embed(int4_file, ".tflite", {"name": "net"})
    np.testing.assert_array_equal(outputs(embedded, images), outputs(int4_file, images))


def test_layers_can_be_kept_in_float(float_file: bytes) -> None:
    contents = read_contents(float_file, ".tflite")
    conv = next(contents.tensors[op.outputs[0]].name for op in contents.ops if op.kind == "CONV_2D")
    content = quantize_int4(float_file, [conv])
    assert weights(content, "conv").dtype == "float32"
    assert weights(content, "wide").dtype == "int4"
    with pytest.raises(InvalidInputError, match="did you mean"):
        quantize_int4(float_file, [conv[:-1]])


def test_a_traced_model_is_converted_as_its_float_file_is(traced: Traced, int4_file: bytes) -> None:
    assert convert_int4(traced) == int4_file


def test_without_a_large_dense_layer_there_is_nothing_to_do(tmp_path: Path) -> None:
    small = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ConversionError, match=r"^the model has no dense layer of 1024 weights or more"):
        convert_int4(trace(of_keras(small), tmp_path))
