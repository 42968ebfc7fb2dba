from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from liteport.errors import ConversionError
from liteport.export.callable_model import of_keras
from liteport.export.four_bit import LAYERS, expanded, four_bit, four_bit_scales, pack, reduced
from liteport.export.tflite import TFLiteOptions, convert
from liteport.export.tracing import trace
from liteport.runtime.contents import read_contents

layers = keras.layers
IMAGES = np.random.default_rng(0).random((40, 8, 8, 2), np.float32)
VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 12}


@pytest.fixture(scope="module")
def int8_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Odd sizes, so that the last byte is half used; two layers without a bias, whose zeros are one buffer."""
    keras.utils.set_random_seed(6)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(3, 3, activation="relu", use_bias=False),
            layers.Conv2D(3, 3, activation="relu", use_bias=False),
            layers.DepthwiseConv2D(3, bias_initializer="normal"),
            layers.Flatten(),
            layers.Dense(5, bias_initializer="normal"),
        ]
    )
    traced = trace(of_keras(model), tmp_path_factory.mktemp("traced"))
    return convert(traced, {"input": IMAGES}, TFLiteOptions(weights="int8", activations="int8"))


def answers(content: bytes) -> NDArray[np.int8]:
    """What LiteRT's own kernels answer, without XNNPACK, which rounds the last bit otherwise."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], IMAGES.shape)
    interpreter.allocate_tensors()
    scale, zero = given["quantization"]
    interpreter.set_tensor(given["index"], (np.rint(IMAGES / scale) + zero).clip(-128, 127).astype(np.int8))
    interpreter.invoke()
    found: NDArray[np.int8] = interpreter.get_tensor(wanted["index"])
    return found


def test_codes_survive_8_bits() -> None:
    codes = np.arange(-7, 8, dtype=np.int8)
    assert (reduced(expanded(codes)) == codes).all()
    assert expanded(codes)[[0, -1]].tolist() == [-127, 127]


def test_two_codes_share_a_byte_the_first_below() -> None:
    assert pack(np.array([1, -1, 7], np.int8)).tolist() == [0xF1, 0x07]


def test_packed_and_unpacked_codes_give_the_same_answers(int8_file: bytes) -> None:
    packed = four_bit(int8_file, trained=False, packed=LAYERS)
    unpacked = four_bit(int8_file, trained=False, packed=())
    assert (answers(packed) == answers(unpacked)).all()
    # Weights are rounded to a fourteenth of the largest: answers change, and stay near. Of 255 steps.
    difference = np.abs(answers(packed).astype(int) - answers(int8_file))
    assert 0 < difference.mean() < 25


def test_all_that_belongs_to_a_layer_fits_together(int8_file: bytes) -> None:
    before, after = (read_contents(content, ".tflite") for content in (int8_file, _packed(int8_file)))
    seen = set()
    for op in after.ops:
        if op.kind not in VERSIONS:
            continue
        given, weights, bias = (after.tensors[index] for index in op.inputs)
        old = before.tensors[op.inputs[1]]
        assert (weights.dtype, op.version) == ("int4", VERSIONS[op.kind])
        assert weights.scales == pytest.approx([scale * 127 / 7 for scale in old.scales])
        assert bias.scales == pytest.approx([given.scales[0] * scale for scale in weights.scales], rel=1e-6)
        assert weights.size_bytes == -(-old.size_bytes // 2)
        seen.add(op.kind)
    assert seen == set(VERSIONS) == LAYERS


def _packed(content: bytes) -> bytes:
    return four_bit(content, trained=False, packed=LAYERS)


def test_some_layers_alone_can_be_packed(int8_file: bytes) -> None:
    content = four_bit(int8_file, trained=False, packed=LAYERS - {"FULLY_CONNECTED"})
    contents = read_contents(content, ".tflite")
    stored = {op.kind: contents.tensors[op.inputs[1]].dtype for op in contents.ops if op.kind in LAYERS}
    assert stored == {"CONV_2D": "int4", "DEPTHWISE_CONV_2D": "int4", "FULLY_CONNECTED": "int8"}
    assert (answers(content) == answers(_packed(int8_file))).all()


def test_weights_that_were_not_trained_for_4_bits_stay(int8_file: bytes) -> None:
    assert four_bit(int8_file, trained=True, packed=LAYERS) == int8_file


def test_a_file_without_such_layers_is_refused(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 1))
    traced = trace(of_keras(keras.Model(image, layers.MaxPooling2D()(image))), tmp_path)
    samples = {"input": IMAGES[:, :4, :4, :1]}
    with pytest.raises(ConversionError, match="no convolution or dense layer"):
        convert(traced, samples, TFLiteOptions(weights="int4", activations="int8"))


def test_scales_of_rounded_weights_are_found_again() -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(-7, 8, (3, 3, 4, 5)).astype(np.float32)
    codes[0, 0, 0] = 7  # the largest of each channel is at the end of its grid
    codes[..., 2] = 0
    scales = np.array([0.3, 1e-3, 1, 7, 0.11], np.float32)
    found = four_bit_scales(codes * scales, 3)
    assert found is not None
    assert found == pytest.approx(scales)  # of the dead channel 1
    assert four_bit_scales(generator.random((3, 3, 4, 5), np.float32), -1) is None
