"""A float model rewritten for quantization-aware training."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import keras
from keras import layers

from liteport.errors import InvalidInputError, unknown_name

from .folding import expanded, folded, is_linear
from .graph import Call, Graph, Shape, build, read
from .layers import ROUNDED_FORM, FakeQuantize
from .ranges import is_quantize_aware
from .treatments import is_rounded, joined_values, treatment

_KNOWN_BITS = (4, 8)
_INSIDE_KERNELS = ("linear", "relu", "relu6")


def quantize_aware(model: keras.Model, *, weight_bits: int | Mapping[str, int] = 8) -> keras.Model:
    """Returns a model that computes as the exported integer file will, to be trained on.

    Batch norm is folded; kernels are rounded to `weight_bits` with a symmetric scale for each output channel; the
    input and every value that has a range of its own in the file are rounded to 8 bits, with a range that is learned
    in training. Gradients take roundings for the identity. The method is that of Jacob et al. 2018, arXiv 1712.05877,
    but for batch norm, which is folded for good rather than in each step: start from a trained model.

    The model is functional and trains in float32. Its ranges are learned from the first training step on; before, its
    kernels are rounded, but its values are not.

    Args:
        model: A Sequential or functional classifier with one input and one output; it is not changed.
        weight_bits: 8 or 4; or by layer name, where layers that are not named have 8.

    Raises:
        InvalidInputError: If the model is of another kind, is quantization-aware already or has a layer without an
            integer form; or if `weight_bits` has another number or names a layer without a kernel.
    """
    if is_quantize_aware(model):
        raise InvalidInputError(f"the model {model.name!r} is quantization-aware already; train it as it is")
    graph = _spelled_out(folded(read(model)))
    return build(_with_rounded_kernels(_with_ranges(graph), weight_bits))


def _spelled_out(graph: Graph) -> Graph:
    """Gives each operation of the integer file a layer of its own, but for the activations that it fuses."""
    graph = expanded(graph, dict.fromkeys(ROUNDED_FORM, _without_activation))
    return expanded(graph, {layers.Activation: _spelled_activation, layers.Add: _pairs, layers.Multiply: _pairs})


def _without_activation(call: Call) -> list[Call]:
    activation = call.config["activation"]
    if is_linear(call) or activation in _INSIDE_KERNELS:
        return [call]
    linear = replace(call, name=f"{call.name}_linear", config={**call.config, "activation": "linear"})
    config = {"activation": activation}
    return [linear, replace(call, kind=layers.Activation, config=config, inputs=(linear.name,), weights=())]


def _spelled_activation(call: Call) -> list[Call]:
    """Writes silu, x sigmoid(x), as the two operations that it is in a file."""
    if call.config["activation"] not in ("silu", "swish"):
        return [call]
    sigmoid = replace(call, name=f"{call.name}_sigmoid", config={"activation": "sigmoid"})
    return [sigmoid, replace(call, kind=layers.Multiply, config={}, inputs=(*call.inputs, sigmoid.name))]


def _pairs(call: Call) -> list[Call]:
    """Writes a sum or product of many as such of two, as files have it."""
    first, *others = call.inputs
    calls = []
    for number, name in enumerate(others, 2):
        last = number == len(call.inputs)
        calls.append(replace(call, name=call.name if last else f"{call.name}_of_{number}", inputs=(first, name)))
        first = calls[-1].name
    return calls


def _with_ranges(graph: Graph) -> Graph:
    """Adds a `FakeQuantize` after the input and each value with a range; one for all values that have it together."""
    joined = joined_values(graph)
    rounded = {call.name for call in graph.calls if is_rounded(graph, call)} | {graph.input}
    sizes = Counter(joined[name] for name in rounded)
    stands: dict[str, str] = {}
    first: dict[str, str] = {}

    def rounding(name: str, shape: Shape, origin: str, fixed: tuple[float, float] | None = None) -> Call:
        together = sizes[joined[name]] > 1
        stands[name] = f"{name}_range"
        shared = first.get(joined[name], "")
        first.setdefault(joined[name], stands[name])
        config = {"fixed": fixed, "shared": together}
        return Call(stands[name], FakeQuantize, config, (name,), shape, origin=origin, shared=shared)

    calls = [rounding(graph.input, graph.input_shape, graph.input)]
    for call in graph.calls:
        calls.append(replace(call, inputs=tuple(stands.get(name, name) for name in call.inputs)))
        if call.name in rounded:
            calls.append(rounding(call.name, call.shape, call.origin, treatment(call).fixed))
    return replace(graph, calls=tuple(calls), output=stands.get(graph.output, graph.output))


def _with_rounded_kernels(graph: Graph, weight_bits: int | Mapping[str, int]) -> Graph:
    origins = {call.origin: call for call in graph.calls if call.kind in ROUNDED_FORM}
    bits = weight_bits if isinstance(weight_bits, Mapping) else dict.fromkeys(origins, weight_bits)
    for name, number in bits.items():
        if name not in origins:
            raise unknown_name("layer with a kernel", name, origins)
        if number not in _KNOWN_BITS:
            raise InvalidInputError(f"weight_bits of {name!r}: expected 4 or 8, found {number}")
    calls = [
        replace(call, kind=ROUNDED_FORM[call.kind], config={**call.config, "weight_bits": bits.get(call.origin, 8)})
        if call.kind in ROUNDED_FORM
        else call
        for call in graph.calls
    ]
    return replace(graph, calls=tuple(calls))
