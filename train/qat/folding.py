"""Batch normalization folded into the layers before it, as it is in every exported file.

At inference y = gamma (x - mean) / sqrt(variance + epsilon) + beta is a factor and an offset a channel. They go into
the kernel and the bias of the layer before it (Jacob et al. 2018, arXiv 1712.05877, section 3.2).
"""

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError

from .graph import Call, Graph, build, numbers, read

_FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a model of the same function, but for float32 rounding, without batch normalization.

    A batch norm right after a linear convolution or dense layer goes into that layer's kernel and bias, and the layer
    keeps its name. One elsewhere, and a `Rescaling`, becomes a depthwise 1×1 convolution. A `SeparableConv2D` becomes
    its two convolutions.

    Args:
        model: Sequential or functional, with one input and one output; it is not changed.

    Raises:
        InvalidInputError: If it is of another kind, or has a batch norm over another axis than the last.
    """
    return build(folded(read(model)))


def folded(graph: Graph) -> Graph:
    """Does the work of `fold_batch_norm`."""
    graph = expanded(graph, {layers.SeparableConv2D: _two_convolutions})
    done: dict[str, Call] = {}
    gone: dict[str, str] = {}
    for call in graph.calls:
        inputs = tuple(gone.get(name, name) for name in call.inputs)
        before = done.get(inputs[0])
        if call.kind is layers.BatchNormalization and before is not None and _foldable(before, graph, call):
            done[before.name] = _into(before, *_batch_norm(call))
            gone[call.name] = before.name
        else:
            done[call.name] = replace(call, inputs=inputs)
    output = gone.get(graph.output, graph.output)
    return expanded(replace(graph, calls=tuple(done.values()), output=output), _AFFINE)


def expanded(graph: Graph, rules: dict[type[keras.layers.Layer], Callable[[Call], list[Call]]]) -> Graph:
    """Replaces calls of some kinds by several that give the same; the last one has the name of what it replaces."""
    calls = [new for call in graph.calls for new in (rules[call.kind](call) if call.kind in rules else [call])]
    return replace(graph, calls=tuple(calls))


def is_linear(call: Call) -> bool:
    """Whether a layer with a kernel has no activation of its own."""
    return bool(call.config["activation"] == "linear")


def _foldable(before: Call, graph: Graph, norm: Call) -> bool:
    return before.kind in _FOLDABLE and is_linear(before) and graph.only_taker(norm.inputs[0]) is norm


def _into(call: Call, factor: NDArray[np.float64], offset: NDArray[np.float64]) -> Call:
    """Multiplies a layer's output by a factor a channel and adds an offset, by its kernel and bias."""
    kernel = numbers(call.weights[0])
    bias = numbers(call.weights[1]) if call.config["use_bias"] else 0.0
    # a depthwise kernel's last two axes, input channel and multiplier, make up the output channel
    channels = kernel.shape[2:] if call.kind is layers.DepthwiseConv2D else kernel.shape[-1:]
    weights = kernel * factor.reshape(channels), bias * factor + offset
    return replace(
        call, config={**call.config, "use_bias": True}, weights=tuple(part.astype(np.float32) for part in weights)
    )


def _batch_norm(call: Call) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the factor and the offset of each channel."""
    config, arrays = call.config, iter(map(numbers, call.weights))
    if config["axis"] not in (-1, len(call.shape) - 1):
        raise InvalidInputError(f"batch norm {call.name!r} is over axis {config['axis']}; expected the last one")
    gamma = next(arrays) if config["scale"] else 1.0
    beta = next(arrays) if config["center"] else 0.0
    mean, variance = next(arrays), next(arrays)
    factor = gamma / np.sqrt(variance + config["epsilon"])
    return factor, beta - mean * factor


def _rescaling(call: Call) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one = np.ones(call.shape[-1] or 1)  # of each channel; images have a fixed number of them
    return numbers(call.config["scale"]) * one, numbers(call.config["offset"]) * one


def _depthwise(call: Call, factor: NDArray[np.float64], offset: NDArray[np.float64]) -> list[Call]:
    """A factor and an offset a channel as a depthwise 1×1 convolution, which takes images: vectors are made such."""
    image = len(call.shape) == 4
    if not image and len(call.shape) != 2:
        raise InvalidInputError(
            f"layer {call.name!r} takes values of shape {call.shape[1:]}; expected images or vectors"
        )
    weights = factor.reshape(1, 1, -1, 1).astype(np.float32), offset.astype(np.float32)
    layer = layers.DepthwiseConv2D(1, trainable=call.config["trainable"])
    made = replace(call, kind=layers.DepthwiseConv2D, config=layer.get_config(), weights=weights)
    if image:
        return [made]
    batch, channels = call.shape
    shape = batch, 1, 1, channels
    first = reshape(call, f"{call.name}_image", call.inputs, shape)
    made = replace(made, name=f"{call.name}_norm", inputs=(first.name,), shape=shape)
    return [first, made, reshape(call, call.name, (made.name,), call.shape)]


def reshape(call: Call, name: str, inputs: tuple[str, ...], shape: tuple[int | None, ...]) -> Call:
    """Makes a reshape that stems from another layer."""
    return Call(name, layers.Reshape, layers.Reshape(shape[1:]).get_config(), inputs, shape, origin=call.origin)


def _two_convolutions(call: Call) -> list[Call]:
    """A separable convolution as the depthwise one over space and the 1×1 one over channels."""
    config, (depthwise, pointwise, *bias) = call.config, call.weights
    first = layers.DepthwiseConv2D(
        config["kernel_size"],
        config["strides"],
        config["padding"],
        config["depth_multiplier"],
        dilation_rate=config["dilation_rate"],
        use_bias=False,
        trainable=config["trainable"],
    )
    second = layers.Conv2D(
        config["filters"], 1, activation=config["activation"], use_bias=bool(bias), trainable=config["trainable"]
    )
    name = f"{call.name}_depthwise"
    shape = (*call.shape[:-1], pointwise.shape[2])
    return [
        Call(name, layers.DepthwiseConv2D, first.get_config(), call.inputs, shape, (depthwise,), call.origin),
        replace(call, kind=layers.Conv2D, config=second.get_config(), inputs=(name,), weights=(pointwise, *bias)),
    ]


_AFFINE: dict[type[keras.layers.Layer], Callable[[Call], list[Call]]] = {
    layers.BatchNormalization: lambda call: _depthwise(call, *_batch_norm(call)),
    layers.Rescaling: lambda call: _depthwise(call, *_rescaling(call)),
}
