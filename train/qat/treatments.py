"""How an integer file holds what each layer gives: in a range of its own, in a fixed one, or in that of its input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from liteport.errors import InvalidInputError

from .graph import Call, Graph


@dataclass(frozen=True)
class Treatment:
    """What becomes of a layer's output.

    Attributes:
        ranged: Whether it has a range of its own; else it keeps that of the layer's inputs, which is one for all.
        fixed: The range, where the operation has it fixed in TensorFlow Lite's quantization specification.
        fuses: Whether a clipping activation right after the layer becomes a part of the operation.
        clips: Whether the layer is such an activation.
        identity: Whether the layer does nothing at inference.
    """

    ranged: bool = False
    fixed: tuple[float, float] | None = None
    fuses: bool = False
    clips: bool = False
    identity: bool = False


_OWN = Treatment(ranged=True)
_FUSING = Treatment(ranged=True, fuses=True)
_CLIP = Treatment(ranged=True, clips=True)
_SHARED = Treatment()
_IDENTITY = Treatment(identity=True)
_PROBABILITY = Treatment(ranged=True, fixed=(0.0, 255 / 256))
_TANH = Treatment(ranged=True, fixed=(-1.0, 127 / 128))

_LAYERS: dict[type[keras.layers.Layer], Treatment] = {
    layers.Conv2D: _FUSING,
    layers.DepthwiseConv2D: _FUSING,
    layers.Dense: _FUSING,
    layers.Add: _FUSING,
    layers.Subtract: _FUSING,
    layers.Multiply: _FUSING,
    layers.Concatenate: _SHARED,
    layers.GlobalAveragePooling2D: _OWN,
    layers.GlobalMaxPooling2D: _SHARED,
    layers.MaxPooling2D: _SHARED,
    layers.AveragePooling2D: _SHARED,
    layers.Flatten: _SHARED,
    layers.Reshape: _SHARED,
    layers.Permute: _SHARED,
    layers.ZeroPadding2D: _SHARED,
    layers.Cropping2D: _SHARED,
    layers.Dropout: _IDENTITY,
    layers.SpatialDropout2D: _IDENTITY,
    layers.GaussianDropout: _IDENTITY,
    layers.GaussianNoise: _IDENTITY,
    layers.ActivityRegularization: _IDENTITY,
}

_ACTIVATIONS: dict[str, Treatment] = {
    "linear": _IDENTITY,
    "relu": _CLIP,
    "relu6": _CLIP,
    "leaky_relu": _OWN,
    "hard_silu": _OWN,
    "softmax": _PROBABILITY,
    "sigmoid": _PROBABILITY,
    "tanh": _TANH,
}


def _relu(config: dict[str, Any]) -> Any:
    named = {(None, 0, 0): "relu", (6, 0, 0): "relu6"}
    form = config["max_value"], config["negative_slope"], config["threshold"]
    return named.get(form, f"relu with maximum, slope and threshold {form}")


_ACTIVATION_LAYERS: dict[type[keras.layers.Layer], Callable[[Any], Any]] = {
    layers.Activation: lambda config: config["activation"],
    layers.ReLU: _relu,
    layers.LeakyReLU: lambda _: "leaky_relu",
    layers.Softmax: lambda config: "softmax" if config["axis"] == -1 else f"softmax over axis {config['axis']}",
}


def treatment(call: Call) -> Treatment:
    """Looks up a layer.

    Raises:
        InvalidInputError: If there is no integer form of it here.
    """
    if call.kind in _LAYERS:
        return _LAYERS[call.kind]
    if call.kind in _ACTIVATION_LAYERS:
        name = _ACTIVATION_LAYERS[call.kind](call.config)
        if isinstance(name, str) and name in _ACTIVATIONS:
            return _ACTIVATIONS[name]
        what, known = f"activation {name!r}", sorted(_ACTIVATIONS)
    else:
        what, known = f"class {call.kind.__name__}", sorted(kind.__name__ for kind in (*_LAYERS, *_ACTIVATION_LAYERS))
    raise InvalidInputError(
        f"layer {call.origin!r}: its {what} has no integer form in quantization-aware training; "
        f"expected one of {', '.join(known)}"
    )


def is_rounded(graph: Graph, call: Call) -> bool:
    """Tells whether what a layer gives is a value of the integer file with a range of its own or a fixed one.

    It is no value there where it is clipped by the next layer, as both are one operation; and it needs no range where
    it is the model's output in a fixed one, as probabilities are.

    Raises:
        InvalidInputError: If there is no integer form of the layer.
    """
    form = treatment(call)
    if not form.ranged or (form.fixed and call.name == graph.output):
        return False
    taker = graph.only_taker(call.name)
    while taker is not None and treatment(taker).identity:
        taker = graph.only_taker(taker.name)
    linear = call.config.get("activation", "linear") == "linear"
    return not (form.fuses and linear and taker is not None and treatment(taker).clips)


def joined_values(graph: Graph) -> dict[str, str]:
    """Finds which values have one range together: those that concatenations, poolings and the like only pass on.

    A concatenation copies its inputs, so an integer file has them and its output in one range, all that they come from
    by such layers included.

    Returns:
        For each value the name of the last one of those that it is joined with.

    Raises:
        InvalidInputError: If there is no integer form of a layer, or of the values that a concatenation takes.
    """
    members: dict[str, list[str]] = {graph.input: [graph.input]}
    fixed: set[str] = set()
    for call in graph.calls:
        form = treatment(call)
        together = [call.name]
        for name in () if form.ranged else call.inputs:
            together += [value for value in members[name] if value not in together]
        members.update(dict.fromkeys(together, together))
        if form.fixed or (not form.ranged and not fixed.isdisjoint(call.inputs)):
            fixed.add(call.name)
        if call.kind is layers.Concatenate and call.name in fixed:
            raise InvalidInputError(
                f"layer {call.origin!r} concatenates what softmax, sigmoid or tanh gives, whose range is fixed; "
                "expected values whose range can be learned"
            )
    return {name: together[0] for name, together in members.items()}
