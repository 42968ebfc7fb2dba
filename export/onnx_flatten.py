"""Reshapes: computed ones made constant, Flatten told as such, and a turn before it put into the layers behind it."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx_graph import Graph, attribute
from .onnx_layout import order_of

# What computes each feature by itself, from constants at most with one entry a feature.
_EACH = ("Add", "Clip", "Div", "Elu", "HardSigmoid", "LeakyRelu", "Max", "Min", "Mul", "Neg", "Relu", "Selu", "Sigmoid")

Edits = list[Callable[[], None]]


def fix_shapes(graph: Graph) -> None:
    """Makes the target of each Reshape a constant, where it is computed but only its batch size is not known."""
    for node in list(graph.nodes):
        if node.op_type == "Reshape" and graph.constant(node.input[1]) is None:
            shape = graph.shape(node.output[0])
            if shape is not None and shape.count(None) <= 1:
                target = np.array([-1 if size is None else size for size in shape], np.int64)
                graph.set_inputs(node, [node.input[0], graph.add_constant(node.input[1], target)])


def unwrap_products(graph: Graph) -> None:
    """Makes one MatMul of a dense layer on (N, ..., channels), which Keras computes on (rows, channels) and back."""
    for node in list(graph.nodes):
        if node.op_type == "MatMul" and (weights := graph.shape(node.input[1])) is not None and len(weights) == 2:
            before, after = graph.producer(node.input[0]), graph.only_consumer(node.output[0])
            if before is None or after is None or before.op_type != "Reshape" or after.op_type != "Reshape":
                continue
            source, result = graph.shape(before.input[0]), graph.shape(after.output[0])
            if source is not None and source.count(None) <= 1 and result == [*source[:-1], weights[1]]:
                graph.replace(after, "MatMul", [before.input[0], node.input[1]])


def merge_reshapes(graph: Graph) -> None:
    """Lets a Reshape take what the one before it took, and drops those that change nothing."""
    for node in list(graph.nodes):
        if node.op_type == "Identity":
            graph.bypass(node)
        if node.op_type != "Reshape" or (target := graph.constant(node.input[1])) is None or 0 in target:
            continue
        before = graph.producer(node.input[0])
        if before is not None and before.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
            graph.set_inputs(node, [before.input[0], node.input[1]])
        source, result = graph.shape(node.input[0]), graph.shape(node.output[0])
        if source == result and source is not None and source.count(None) <= 1:
            graph.bypass(node)


def flatten(graph: Graph) -> None:
    """Makes a Flatten of each Reshape to (N, features), and drops a turn before it where it can."""
    for node in list(graph.nodes):
        if node.op_type == "Reshape":
            _flatten(graph, node)


def _flatten(graph: Graph, reshape: Any) -> None:
    source, target = graph.shape(reshape.input[0]), graph.shape(reshape.output[0])
    if source is None or target is None or len(source) < 3:
        return
    item = [size for size in source[1:] if size is not None]
    if len(item) < len(source) - 1 or target[1:] != [math.prod(item)] or target[0] != source[0]:
        return
    data = reshape.input[0]
    turn = graph.producer(data)
    if turn is not None and turn.op_type == "Transpose" and (order := order_of(turn))[:1] == (0,):
        features = np.arange(math.prod(item)).reshape(item).transpose(np.argsort(order[1:])).reshape(-1)
        edits: Edits = []
        if not _takes_permuted(graph, reshape.output[0], features, edits):
            return
        for edit in edits:
            edit()
        data = turn.input[0]
    graph.replace(reshape, "Flatten", [data], axis=1)


def _takes_permuted(graph: Graph, name: str, features: NDArray[np.int64], edits: Edits) -> bool:
    """Whether all that takes a flattened value can take its features in another order.

    Args:
        graph: The graph.
        name: The value, (N, features).
        features: Which of the old features stands at each new place.
        edits: Gets the changes that this needs, in the constants of what takes the value.
    """
    if name in graph.outputs or not graph.consumers(name):
        return False
    return all(_permuted(graph, node, name, features, edits) for node in graph.consumers(name))


def _permuted(graph: Graph, node: Any, name: str, features: NDArray[np.int64], edits: Edits) -> bool:
    if node.op_type in ("MatMul", "Gemm"):
        weights = graph.constant(node.input[1])
        if weights is None or weights.ndim != 2 or node.input[0] != name or attribute(node, "transA", 0):
            return False
        axis = 1 if attribute(node, "transB", 0) else 0
        edits.append(partial(_set_constant, graph, node, 1, weights.take(features, axis)))
        return True
    if node.op_type not in _EACH:
        return False
    for position, other in enumerate(node.input):
        if other == name or not other:
            continue
        values = graph.constant(other)
        if values is None or (values.size > 1 and values.shape[-1] != len(features)):
            return False
        if values.size > 1:
            edits.append(partial(_set_constant, graph, node, position, values.take(features, -1)))
    return _takes_permuted(graph, node.output[0], features, edits)


def _set_constant(graph: Graph, node: Any, position: int, values: NDArray[Any]) -> None:
    inputs = list(node.input)
    inputs[position] = graph.add_constant(inputs[position], values)
    graph.set_inputs(node, inputs)
