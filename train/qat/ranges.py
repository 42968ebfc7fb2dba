"""What a quantization-aware model has learned, for the export, and the float model in it."""

from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers

from liteport.errors import InvalidInputError

from .graph import Call, Graph, build, read
from .layers import ROUNDED_FORM, FakeQuantize, rounded_by_channel, scale_by_channel
from .treatments import treatment

_STEPS = 255
_PLAIN_FORM = {rounded: plain for plain, rounded in ROUNDED_FORM.items()}


@dataclass(frozen=True)
class Range:
    """The range of 8-bit values.

    Attributes:
        low: The lower end, 0 or less.
        high: The upper end, above 0.
    """

    low: float
    high: float

    @property
    def scale(self) -> float:
        """The distance of neighbouring values."""
        return float((np.float32(self.high) - np.float32(self.low)) / np.float32(_STEPS))

    @property
    def zero_point(self) -> int:
        """The int8 code of 0: where the lower end, moved the least for 0 to have a code, is -128."""
        return round(-self.low / self.scale) - 128


def is_quantize_aware(model: keras.Model) -> bool:
    """Tells whether a model comes from `quantize_aware`, or has such a model in it."""
    return any(isinstance(layer, FakeQuantize) for layer in model._flatten_layers())


def learned_ranges(model: keras.Model) -> dict[str, Range]:
    """Returns the ranges of a quantization-aware model.

    Returns:
        By the name of the layer of `float_model` (or its input's) that gives the values. Layers that are missing keep
        the range of what they take, as poolings do, have a fixed one as the model's output, or are one operation with
        the activation after them. A concatenation is not missing: it has the range of what it takes.

    Raises:
        InvalidInputError: If the model is not quantization-aware, or has not been trained.
    """
    graph = _read_aware(model)
    reaching = _reaching(graph)
    found: dict[str, Range] = {}
    for call in graph.calls:
        if call.kind is FakeQuantize:
            found[call.inputs[0]] = reaching[call.name]
        elif call.kind is layers.Concatenate:
            found[call.name] = reaching[call.name]
    return found


def settle_biases(model: keras.Model) -> None:
    """Moves biases to multiples of input scale times weight scale, as the int32 biases of the integer file are.

    A bias that is added up in float32 and rounded in the file alone moves what lies between two codes to the other one:
    in a deep network that adds up. Training goes on with biases as they were; it is for what is measured and kept.

    Args:
        model: From `quantize_aware`, trained; its biases are changed. What has a model within it is left as it is.

    Raises:
        InvalidInputError: If the model is not quantization-aware, or has not been trained.
    """
    graph = _read_aware(model)
    reaching = _reaching(graph)
    by_name = {layer.name: layer for layer in model.layers}
    for call in graph.calls:
        if call.kind in _PLAIN_FORM and call.config["use_bias"] and call.name in by_name:
            kernel, bias = call.weights
            scales = scale_by_channel(kernel, call.config["weight_bits"], call.kind._channel_axes)
            step = reaching[call.inputs[0]].scale * scales.reshape(bias.shape)
            settled = np.rint(bias / np.where(step > 0, step, 1)) * step
            by_name[call.name].bias.assign(np.where(step > 0, settled, bias).astype(np.float32))


def _reaching(graph: Graph) -> dict[str, Range]:
    """Returns the range of what each call gives, for those that give 8-bit values."""
    reaching: dict[str, Range] = {}
    for call in graph.calls:
        if call.kind is FakeQuantize:
            reaching[call.name] = _range(graph, call)
        elif call.kind not in _PLAIN_FORM and not treatment(call).ranged:
            reaching[call.name] = reaching[call.inputs[0]]
    return reaching


def _range(graph: Graph, call: Call) -> Range:
    low, high = map(float, call.weights)
    if high <= 0:
        raise InvalidInputError(
            f"the model {graph.name!r} has not learned the range of {call.inputs[0]!r} yet; train it first"
        )
    return Range(low, high)


def weight_bits(model: keras.Model) -> dict[str, int]:
    """Returns the bits of a weight for each layer of `float_model` with a kernel.

    Raises:
        InvalidInputError: If the model is not quantization-aware.
    """
    return {call.name: call.config["weight_bits"] for call in _read_aware(model).calls if call.kind in _PLAIN_FORM}


def float_model(model: keras.Model, *, rounded: bool = False) -> keras.Model:
    """Returns the float model within a quantization-aware one: Keras's own layers, batch norm folded.

    Args:
        model: From `quantize_aware`; it is not changed.
        rounded: Whether the kernels are as the integer file has them, codes times scale, rather than as they train.

    Raises:
        InvalidInputError: If the model is not quantization-aware.
    """
    return build(_plain(_read_aware(model), rounded=rounded))


def _read_aware(model: keras.Model) -> Graph:
    if not is_quantize_aware(model):
        raise InvalidInputError(f"the model {model.name!r} is not quantization-aware; expected one of quantize_aware")
    return read(model, sharing=(FakeQuantize,))


def _plain(graph: Graph, *, rounded: bool) -> Graph:
    source = {call.name: call.inputs[0] for call in graph.calls if call.kind is FakeQuantize}
    calls = [
        replace(_plain_layer(call, rounded), inputs=tuple(source.get(name, name) for name in call.inputs))
        for call in graph.calls
        if call.kind is not FakeQuantize
    ]
    return replace(graph, calls=tuple(calls), output=source.get(graph.output, graph.output))


def _plain_layer(call: Call, rounded: bool) -> Call:
    if call.kind not in _PLAIN_FORM:
        return call
    config = {name: value for name, value in call.config.items() if name != "weight_bits"}
    kernel, *bias = call.weights
    if rounded:
        kernel = np.asarray(rounded_by_channel(kernel, call.config["weight_bits"], call.kind._channel_axes))
    return replace(call, kind=_PLAIN_FORM[call.kind], config=config, weights=(kernel, *bias))
