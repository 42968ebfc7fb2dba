from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from liteport.errors import ConversionError
from liteport.export.callable_model import of_keras
from liteport.export.refusal import layers_of, placed, told_as_refusal
from liteport.export.tflite import TFLiteOptions, convert
from liteport.export.tracing import trace

layers = keras.layers


class IncompleteBeta(layers.Layer):
    """Has an operation that TensorFlow Lite lacks."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return tf.raw_ops.Betainc(a=tf.ones_like(x), b=2 * tf.ones_like(x), x=x)


def test_an_operation_that_is_missing_is_named_with_its_layer(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    x = IncompleteBeta(name="odd_one")(layers.Dense(3, activation="sigmoid")(inputs))
    traced = trace(of_keras(keras.Model(inputs, layers.Dense(2)(x))), tmp_path)
    with pytest.raises(ConversionError) as caught:
        convert(traced, None, TFLiteOptions())
    assert str(caught.value) == (
        "TensorFlow's converter refuses the model: Betainc in layer 'odd_one': TensorFlow Lite has no such operation"
    )


def test_an_operation_without_an_int16_form_is_named_with_its_layers(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    x = layers.Activation("hard_silu", name="first")(layers.Dense(4)(inputs))
    x = layers.Activation("hard_silu", name="second")(layers.Dense(4)(x))
    traced = trace(of_keras(keras.Model(inputs, layers.Dense(2)(x))), tmp_path)
    samples = {"input": np.random.default_rng(0).random((5, 3), np.float32)}
    with pytest.raises(ConversionError, match="16x8-bit not yet supported for op: HARD_SWISH in layers 'first', 'sec"):
        convert(traced, samples, TFLiteOptions(weights="int8", activations="int16"))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("net_1/conv1_1/Relu;net_1/conv1_1/BiasAdd", ("conv1",)),
        # TensorFlow numbers scopes: `dense` is called as dense_1, so `dense_1` as dense_1_2
        ("functional_1/dense_1/MatMul", ("dense",)),
        ("functional_1/dense_1_2/MatMul", ("dense_1",)),
        ("functional_1/attend_1/query_1/einsum/Einsum", ("attend/query",)),
        ("net_1/bn_1/add;net_1/conv_1/convolution", ("bn", "conv")),
        ("net_1/odd_1/Betainc@__inference_pruned_22900", ("odd",)),
        # another program's names, which are not numbered throughout
        ("model_1/conv2d/BiasAdd", ("conv2d",)),
        ("net_1/Cast", ()),
        ("PartitionedCall:0", ()),
    ],
)
def test_layers_are_read_from_names(name: str, layers: tuple[str, ...]) -> None:
    assert layers_of(name) == layers


def test_many_layers_are_counted() -> None:
    names = [f"net_1/layer{number}_1/Relu" for number in range(5)]
    assert placed("RELU", names) == "RELU in layers 'layer0', 'layer1', 'layer2' and 2 more"
    assert placed("RELU", ["PartitionedCall:0"]) == "RELU"


MLIR = (
    '<unknown>:0: error: loc(callsite(fused["TensorListReserve:", "net_1/memory_1/TensorArrayV2_1@__inference_7"] at '
    """fused["PartitionedCall:", "PartitionedCall"])): 'tf.TensorListReserve' op requires static shapes\n"""
    '<unknown>:0: note: loc(fused["PartitionedCall:", "PartitionedCall"]): called from\n'
    '<unknown>:0: error: loc(callsite(fused["TensorListReserve:", "net_1/memory_1/TensorArrayV2_1@__inference_7"] at '
    """fused["PartitionedCall:", "PartitionedCall"])): failed to legalize operation 'tf.TensorListReserve'\n"""
    "<unknown>:0: error: Lowering tensor list ops is failed."
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MLIR, "TensorListReserve in layer 'memory': requires static shapes"),
        ("first\n  error: what matters\nlast", "error: what matters"),
        ("\n  what is wrong\nTraceback of something", "what is wrong"),
        ("op not yet supported for op: 'NEG'.", "op not yet supported for op: 'NEG'."),
        ("", "ValueError('')"),
        (
            "in user code:\n\n  ValueError: Exception encountered when calling Dense.call().\n  \n  \x1b[1mwhat is "
            "wrong\x1b[0m\n  \n  Arguments received by Dense.call():",
            "what is wrong",
        ),
        ("x" * 1000, "x" * 300),
    ],
)
def test_of_a_screenful_the_line_that_matters_is_told(error: str, told: str) -> None:
    with pytest.raises(ConversionError) as caught, told_as_refusal("A converter", ValueError):
        raise ValueError(error)
    assert str(caught.value) == f"A converter refuses the model: {told}"


def test_of_a_key_its_kind_is_told() -> None:
    with (
        pytest.raises(ConversionError, match=r"refuses the model: KeyError\('float8'\)"),
        told_as_refusal("X", KeyError),
    ):
        raise KeyError("float8")


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), told_as_refusal("A converter", ValueError):
        raise KeyError("a bug")
