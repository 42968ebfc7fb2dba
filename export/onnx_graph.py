"""Tidies the graph that tf2onnx makes of a Keras classifier.

Keras keeps channels last, ONNX first. tf2onnx turns the layout where convolutions begin and back before Flatten, and
computes Flatten's shape while the model runs. Here the turn back is folded into the rows of the dense layer that
follows, the computed shape becomes a Flatten, a product and its bias become one Gemm, and what is then unused goes.
Quantization gains most: each of those nodes would have got a quantization of its own.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from liteport.errors import require

_TO_CHANNELS_LAST = [0, 2, 3, 1]


def tidy(model: Any) -> Any:
    """Returns an equivalent model with a simpler graph.

    Args:
        model: A `ModelProto` with a free batch dimension, channels first between its convolutions.
    """
    onnx = require("onnx", "export")
    graph = _Graph(onnx.shape_inference.infer_shapes(model, data_prop=True), onnx)
    for node in list(graph.nodes):
        if node.op_type == "Reshape":
            _flatten(graph, node)
    for node in list(graph.nodes):
        if node.op_type == "Add":
            _gemm(graph, node)
    graph.drop_unused()
    graph.rename()
    return graph.model


class _Graph:
    """A model's graph with what the passes look up."""

    def __init__(self, model: Any, onnx: Any) -> None:
        self.model = model
        self.nodes = model.graph.node
        self._onnx = onnx
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        known = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        self._shapes = {value.name: value.type.tensor_type.shape for value in known}

    def shape(self, name: str) -> list[int | None] | None:
        """The sizes of a value, None for free ones; None where even its rank is unknown."""
        if name not in self._shapes:
            return None
        return [size.dim_value or None for size in self._shapes[name].dim]

    def constant(self, name: str) -> Any:
        """The value of a constant as an array, or None."""
        tensor = self._constants.get(name)
        return None if tensor is None else self._onnx.numpy_helper.to_array(tensor)

    def add_constant(self, name: str, values: Any) -> str:
        """Adds a constant, unless it is there already, and returns its name."""
        if name not in self._constants:
            self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
            self.model.graph.initializer.append(self._constants[name])
        return name

    def producer(self, name: str) -> Any:
        """The node that makes a value, or None."""
        return next((node for node in self.nodes if name in node.output), None)

    def consumers(self, name: str) -> list[Any]:
        """The nodes that take a value."""
        return [node for node in self.nodes if name in node.input]

    def is_output(self, name: str) -> bool:
        """Whether a value is an output of the model."""
        return any(value.name == name for value in self.model.graph.output)

    def replace(self, old: Any, kind: str, inputs: list[str], **attributes: Any) -> None:
        """Puts another node in a node's place; it makes the same values."""
        new = self._onnx.helper.make_node(kind, inputs, list(old.output), name=old.name, **attributes)
        old.CopyFrom(new)

    def drop_unused(self) -> None:
        """Removes nodes whose results nobody takes, then constants."""
        while unused := [node for node in self.nodes if not any(map(self._is_used, node.output))]:
            for node in unused:
                self.nodes.remove(node)
        for tensor in [tensor for tensor in self.model.graph.initializer if not self._is_used(tensor.name)]:
            self.model.graph.initializer.remove(tensor)
        del self.model.graph.value_info[:]  # some are of values that are gone; whoever needs shapes infers them

    def _is_used(self, name: str) -> bool:
        return self.is_output(name) or bool(self.consumers(name))

    def rename(self) -> None:
        """Takes the counters out of names, which go on from one conversion to the next, and keeps names unique."""
        edges = {value.name for value in (*self.model.graph.input, *self.model.graph.output)}
        names: dict[str, str] = {name: name for name in edges}
        for name in self._names():
            if name not in names:
                plain = re.sub(r":0|__\d+", "", name.removeprefix("PartitionedCall/")) or "value"
                taken, number = set(names.values()), 2
                unique = plain
                while unique in taken:
                    unique, number = f"{plain}_{number}", number + 1
                names[name] = unique
        for tensor in self.model.graph.initializer:
            tensor.name = names[tensor.name]
        self.model.graph.ClearField("doc_string")
        for number, node in enumerate(self.nodes):
            node.name = f"{node.op_type}_{number}"
            node.input[:] = [names[name] if name else "" for name in node.input]
            node.output[:] = [names[name] if name else "" for name in node.output]

    def _names(self) -> Iterator[str]:
        for node in self.nodes:
            yield from (name for name in (*node.input, *node.output) if name)


def _flatten(graph: _Graph, reshape: Any) -> None:
    """Makes a Flatten of a Reshape to (N, features), and lets a dense layer's rows stand in for a turn before it."""
    source, target = graph.shape(reshape.input[0]), graph.shape(reshape.output[0])
    if source is None or target is None or len(source) < 2:
        return
    item = [size for size in source[1:] if size is not None]
    if len(item) < len(source) - 1 or target != [None, math.prod(item)]:
        return
    data = reshape.input[0]
    turn = graph.producer(data)
    if turn is not None and turn.op_type == "Transpose" and list(turn.attribute[0].ints) == _TO_CHANNELS_LAST:
        if not _permute_rows(graph, reshape.output[0], item):
            return
        data = turn.input[0]
    graph.replace(reshape, "Flatten", [data], axis=1)


def _permute_rows(graph: _Graph, name: str, item: list[int]) -> bool:
    """Reorders the rows of the dense layers that take a flattened value, from channels last to channels first."""
    takers = graph.consumers(name)
    weights = [graph.constant(node.input[1]) for node in takers]
    dense = all(node.op_type == "MatMul" and node.input[0] == name for node in takers)
    if not takers or not dense or graph.is_output(name) or any(rows is None or rows.ndim != 2 for rows in weights):
        return False
    for node, rows in zip(takers, weights, strict=True):
        turned = rows.reshape(*item, -1).transpose(2, 0, 1, 3).reshape(rows.shape)
        node.input[1] = graph.add_constant(f"{node.input[1]}/rows_of_{'x'.join(map(str, item))}", turned)
    return True


def _gemm(graph: _Graph, add: Any) -> None:
    """Makes one Gemm of a product with constant weights and the bias that is added to it."""
    product = graph.producer(add.input[0])
    bias = graph.constant(add.input[1])
    if product is None or product.op_type != "MatMul" or bias is None or bias.ndim != 1:
        return
    weights, shape = graph.constant(product.input[1]), graph.shape(product.input[0])
    if weights is None or weights.ndim != 2 or shape is None or len(shape) != 2:
        return
    if len(graph.consumers(product.output[0])) == 1 and not graph.is_output(product.output[0]):
        graph.replace(add, "Gemm", [*product.input, add.input[1]])
