"""Arithmetic with constants, folded into the weights of the layer before it: batch norm, bias, scaling, padding."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .onnx_graph import Graph, attribute, axes_of, set_attribute

_LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


class _Affine(NamedTuple):
    """`value * scale + offset`, each a scalar or one number a channel."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def fold(graph: Graph) -> None:
    """Folds what follows layers, and padding before convolutions, into them."""
    for node in list(graph.nodes):
        if node.op_type == "Pad":
            _pad(graph, node)
        elif node.op_type in ("Mul", "Add", "Sub", "Div", "BatchNormalization"):
            _affine(graph, node)
        elif node.op_type == "ReduceMean":
            _global_average(graph, node)
    graph.drop_unused()


def _affine(graph: Graph, node: Any) -> None:
    name = next((name for name in node.input if graph.constant(name) is None), None)
    layer = None if name is None else graph.producer(name)
    if layer is None or layer.op_type not in _LAYERS or graph.only_consumer(str(name)) is None:
        return
    weights, shape = graph.constant(layer.input[1]), graph.shape(node.output[0])
    if weights is None or shape is None or graph.shape(str(name)) != shape:
        return  # without weights to fold into, or where the constant makes more of the value
    bias = graph.constant(layer.input[2]) if len(layer.input) > 2 else np.zeros(1)
    affine = _read(graph, node, len(shape), 1 if "Conv" in layer.op_type else len(shape) - 1)
    plain = attribute(layer, "alpha", 1.0) == attribute(layer, "beta", 1.0) == 1.0
    axis = output_axis(layer, weights)
    if affine is None or bias is None or axis is None or not plain:
        return
    kind = layer.op_type
    offset = bias.astype(np.float64) * affine.scale + affine.offset
    if kind == "MatMul" and offset.any():
        if len(shape) != 2 or weights.ndim != 2:
            return
        kind = "Gemm"
    along = [-1 if number == axis else 1 for number in range(weights.ndim)]
    inputs = [layer.input[0], _scaled(graph, layer.input[1], weights, affine.scale.reshape(along))]
    if len(layer.input) > 2 or offset.any():
        like = layer.input[2] if len(layer.input) > 2 else f"{layer.input[1]}/bias"
        inputs.append(graph.add_constant(like, np.broadcast_to(offset, weights.shape[axis]).astype(weights.dtype)))
    attributes = {entry.name: attribute(layer, entry.name) for entry in layer.attribute}
    graph.replace(node, kind, inputs, **attributes)


def output_axis(layer: Any, weights: NDArray[Any]) -> int | None:
    """Returns the axis of a layer's weights that has one entry an output channel; None where none does."""
    if layer.op_type == "Conv":
        return 0
    if layer.op_type == "ConvTranspose":
        return 1 if attribute(layer, "group", 1) == 1 else None
    return 0 if attribute(layer, "transB", 0) else weights.ndim - 1


def _scaled(graph: Graph, name: str, weights: NDArray[Any], scale: NDArray[np.float64]) -> str:
    return name if (scale == 1).all() else graph.add_constant(name, (weights * scale).astype(weights.dtype))


def _read(graph: Graph, node: Any, rank: int, axis: int) -> _Affine | None:
    """What a node does to each channel; None where it is not that simple."""
    one, zero = np.ones(1), np.zeros(1)
    constants = [graph.constant(name) for name in node.input]
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = (None if given is None else given.astype(np.float64) for given in constants[1:5])
        if gamma is None or beta is None or mean is None or variance is None:
            return None
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return _Affine(scale, beta - mean * scale)
    place = next((number for number, given in enumerate(constants) if given is not None), None)
    values = None if place is None else _per_channel(constants[place], rank, axis)
    if values is None or (place == 0 and node.op_type in ("Sub", "Div")):
        return None
    with np.errstate(divide="ignore"):
        found = {
            "Mul": _Affine(values, zero),
            "Div": _Affine(1 / values, zero),
            "Add": _Affine(one, values),
            "Sub": _Affine(one, -values),
        }[node.op_type]
    return found if np.isfinite(found.scale).all() else None


def _per_channel(values: NDArray[Any] | None, rank: int, axis: int) -> NDArray[np.float64] | None:
    """A constant that has one number a channel, or one for all, as a vector."""
    if values is None or values.ndim > rank:
        return None
    sizes = [1] * (rank - values.ndim) + list(values.shape)
    return values.reshape(-1).astype(np.float64) if max(sizes[:axis] + sizes[axis + 1 :], default=1) == 1 else None


def _pad(graph: Graph, node: Any) -> None:
    """Lets convolutions pad for themselves."""
    pads, fill = graph.constant(node.input[1]), None
    if len(node.input) > 2 and node.input[2]:
        fill = graph.constant(node.input[2])
        if fill is None or fill.any():
            return
    takers = graph.consumers(node.output[0])
    if pads is None or attribute(node, "mode", b"constant") != b"constant" or pads.min() < 0 or len(pads) < 6:
        return
    begin, end = pads.reshape(2, -1)
    if begin[:2].any() or end[:2].any() or (len(node.input) > 3 and node.input[3]) or node.output[0] in graph.outputs:
        return
    if all(_pads_itself(taker, node.output[0]) for taker in takers):
        for taker in takers:
            own = attribute(taker, "pads", [0] * (2 * len(begin) - 4))
            added = [*begin[2:], *end[2:]]
            set_attribute(taker, "pads", [int(one + other) for one, other in zip(own, added, strict=True)])
        graph.rewire(node.output[0], node.input[0])


def _pads_itself(node: Any, name: str) -> bool:
    padding = attribute(node, "auto_pad", b"NOTSET")
    return bool(node.op_type == "Conv" and node.input[0] == name and padding == b"NOTSET")


def _global_average(graph: Graph, node: Any) -> None:
    """Makes a mean over a map the operation that has a quantized form."""
    shape, axes = graph.shape(node.input[0]), axes_of(graph, node)
    if shape is None or len(shape) != 4 or axes is None or sorted(axis % 4 for axis in axes) != [2, 3]:
        return
    if attribute(node, "keepdims", 1):
        graph.replace(node, "GlobalAveragePool", [node.input[0]])
    else:
        pooled = graph.insert(node, "GlobalAveragePool", [node.input[0]], [*shape[:2], 1, 1])
        graph.replace(node, "Flatten", [pooled], axis=1)
