from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from liteport.errors import ConversionError
from liteport.export import onnx
from liteport.export.callable_model import of_keras
from liteport.export.onnx import OnnxOptions
from liteport.export.tflite import TFLiteOptions, convert
from liteport.export.tflite_floats import require_integer
from liteport.export.tracing import Traced, trace
from liteport.runtime.backends import choose_engine
from liteport.runtime.contents import read_contents

layers = keras.layers


def traced(folder: Path, shape: Sequence[int], *stack: keras.layers.Layer) -> tuple[keras.Model, Traced]:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *stack], name="net")
    for weights in model.weights:  # biases too, so that a lost one shows
        weights.assign(np.random.default_rng(len(weights.path)).normal(size=weights.shape))
    return model, trace(of_keras(model), folder)


def kinds(content: bytes) -> list[str]:
    return [op.kind for op in read_contents(content, ".tflite").ops]


def check(model: keras.Model, content: bytes, suffix: str) -> None:
    inputs = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    backend = choose_engine(suffix).load(content, threads=1)
    (found,) = backend.run([inputs])
    backend.close()
    # sums of some dozens of products, added in another order: some units in the last place
    np.testing.assert_allclose(found, model(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "layer", "kind"),
    [
        ((10, 9, 3), layers.Conv2D(4, 3, dilation_rate=2, activation="relu"), "CONV_2D"),
        ((10, 9, 3), layers.Conv2D(4, 3, dilation_rate=(2, 3), padding="same"), "CONV_2D"),
        ((10, 9, 3), layers.Conv2D(4, (3, 2), dilation_rate=(2, 1)), "CONV_2D"),
        ((10, 9, 3), layers.DepthwiseConv2D((2, 3), dilation_rate=2, padding="same"), "DEPTHWISE_CONV_2D"),
        ((11, 3), layers.Conv1D(4, 3, dilation_rate=2, padding="same"), "CONV_2D"),
        ((11, 3), layers.Conv1D(4, 3, dilation_rate=4, padding="causal"), "CONV_2D"),
        ((11, 3), layers.SeparableConv1D(4, 3, dilation_rate=2), "DEPTHWISE_CONV_2D"),
    ],
)
def test_a_dilated_convolution_is_one_operation(
    shape: tuple[int, ...], layer: keras.layers.Layer, kind: str, tmp_path: Path
) -> None:
    model, graph = traced(tmp_path, shape, layer)
    content = convert(graph, None, TFLiteOptions())
    assert kind in kinds(content)
    assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "ADD"} & set(kinds(content))
    check(model, content, ".tflite")
    check(model, onnx.convert(graph, None, OnnxOptions()), ".onnx")


def test_convolutions_in_groups_are_put_in_line(tmp_path: Path) -> None:
    model, graph = traced(tmp_path, (6, 6, 4), layers.Conv2D(6, 3, groups=2, activation="relu"))
    assert graph.outputs[0].shape == (None, 4, 4, 6)
    content = convert(graph, None, TFLiteOptions())
    assert kinds(content) == ["CONV_2D"]
    check(model, content, ".tflite")
    check(model, onnx.convert(graph, None, OnnxOptions()), ".onnx")


def test_exact_gelu_is_one_operation_beside_a_negation(tmp_path: Path) -> None:
    stack = layers.Dense(8, activation="gelu"), layers.LayerNormalization(), layers.Dense(4)
    model, graph = traced(tmp_path, (5,), *stack)
    content = convert(graph, None, TFLiteOptions())
    assert "GELU" in kinds(content)
    assert "NEG" not in kinds(content)
    check(model, content, ".tflite")


def test_group_and_rms_normalization_have_an_integer_form(tmp_path: Path) -> None:
    stack = layers.Conv2D(4, 2), layers.GroupNormalization(2), layers.RMSNormalization()
    _, graph = traced(tmp_path, (5, 5, 2), *stack)
    samples = {"input": np.random.default_rng(0).normal(size=(8, 5, 5, 2)).astype(np.float32)}
    require_integer(convert(graph, samples, TFLiteOptions(weights="int8", activations="int8")))


def test_a_model_within_one_of_mixed_precision_rounds_nothing(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inner = keras.Sequential([layers.Dense(4), layers.ReLU()], name="inner")
        model = keras.Sequential([keras.Input((5,)), layers.Dense(3), inner], name="outer")
    finally:
        keras.config.set_dtype_policy("float32")
    graph = trace(of_keras(model), tmp_path)
    assert "CAST" not in kinds(convert(graph, None, TFLiteOptions()))


@pytest.mark.filterwarnings("ignore:.*stateful.*")
def test_state_and_tables_are_refused(tmp_path: Path) -> None:
    memory = keras.Sequential([keras.Input(batch_shape=(2, 3, 4)), layers.LSTM(2, stateful=True, name="memory")])
    with pytest.raises(ConversionError, match=r"keeps state .*AssignVariableOp in layer 'memory'.*stateful=False"):
        trace(of_keras(memory), tmp_path)
    words = keras.Sequential([keras.Input((3,), dtype="int64"), layers.IntegerLookup(vocabulary=[5, 7], name="words")])
    with pytest.raises(ConversionError, match="a lookup table in layer 'words'"):
        trace(of_keras(words), tmp_path)


def test_outputs_without_a_batch_are_refused(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.mean(layers.Dense(3)(inputs), axis=0))
    with pytest.raises(ConversionError, match=r"shape \(3,\); expected one answer for each sample"):
        trace(of_keras(model), tmp_path)


def test_no_size_is_read_while_the_model_runs(tmp_path: Path) -> None:
    stack = (layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(6), layers.Reshape((2, 3)))
    model, graph = traced(tmp_path, (5, 5, 3), *stack)
    content = convert(graph, None, TFLiteOptions())
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & set(kinds(content))
    check(model, content, ".tflite")
