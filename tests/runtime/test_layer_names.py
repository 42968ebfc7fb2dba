import pytest

from liteport.runtime.contents import Contents, Tensor
from liteport.runtime.layer_names import LayerNames


def contents(names: list[str]) -> Contents:
    tensors = tuple(Tensor(name, "float32", ()) for name in names)
    return Contents("tflite", (0,), (len(names) - 1,), tensors, (), None, {}, "", {})


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (  # traced once more: each scope has a number that is not Keras's
            ["in:0", "net_1/conv_1/Relu;net_1/conv_1/BiasAdd", "net_1/conv_1_2/Relu", "net_1/bn_1/batchnorm/mul", "y"],
            ["(input)", "conv", "conv_1", "bn", "(output)"],
        ),
        (  # Keras's own numbers, without which the layers could not be told apart
            ["in:0", "net_1/dense_1/MatMul", "net_1/dense_2/MatMul", "y"],
            ["(input)", "dense_1", "dense_2", "(output)"],
        ),
        (["in:0", "net/conv/Relu", "net/conv_1/Relu", "y"], ["(input)", "conv", "conv_1", "(output)"]),
        (  # one operation for several layers, the last name cut off by the converter; layers inside a layer
            ["in:0", "m_1/act_1/Relu;m_1/bn_1/mul;m_1/co", "m_1/block_1/conv_1/convolution", "other", "y"],
            ["(input)", "act+bn", "block/conv", "other", "(output)"],
        ),
    ],
)
def test_finds_layers(names: list[str], layers: list[str]) -> None:
    file, found = contents(names), LayerNames(names)
    assert [found.of(file, index) for index in range(len(names))] == layers


def test_names_of_weights_come_first() -> None:
    names = ["x", "m/bn/add", "y"]
    assert LayerNames(names).of(contents(names), 1, ["m/conv/kernel"]) == "conv+bn"
