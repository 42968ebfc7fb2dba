"""Rewrites a frozen TensorFlow graph where a converter would refuse or spoil what can be said in another way.

Each rule gives an equal graph. They work on a `GraphDef`, which is then imported anew.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from liteport.terminal import quiet_import

_XLA = "_XlaMustCompile"
_APART = (_XLA, "_noinline")
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


def frozen(live: Any) -> Any:
    """Freezes a traced model's weights into its graph, all in one graph, and rewrites it.

    Args:
        live: A concrete function.

    Returns:
        A concrete function without variables, of the same inputs and outputs.
    """
    freeze = quiet_import(
        "tensorflow.python.framework.convert_to_constants", "export"
    ).convert_variables_to_constants_v2
    function = freeze(live, lower_control_flow=False)
    graph = function.graph.as_graph_def()
    if _open_functions(graph):
        function = freeze(_imported(function, graph), lower_control_flow=False)
        graph = function.graph.as_graph_def()
    changed = [rule(graph) for rule in _RULES]
    return _imported(function, graph) if any(changed) else function


def _imported(function: Any, graph: Any) -> Any:
    """Makes a function of a changed graph."""
    tf = quiet_import("tensorflow", "export")
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return whole.prune(*([tensor.name for tensor in tensors] for tensors in (function.inputs, function.outputs)))


def _open_functions(graph: Any) -> bool:
    """Lets functions that are to be compiled by themselves be put in line, which no converter does for them.

    Keras has XLA compile convolutions in groups, which TensorFlow cannot train on a CPU otherwise.
    """
    names = {
        function.signature.name: f"{function.signature.name}_open"
        for function in graph.library.function
        if any(mark in function.attr for mark in _APART)
    }
    for function in graph.library.function:
        function.signature.name = names.get(function.signature.name, function.signature.name)
        for mark in _APART:
            function.attr.pop(mark, None)
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            node.attr.pop(_XLA, None)
            if "f" in node.attr and node.attr["f"].func.name in names:
                node.attr["f"].func.name = names[node.attr["f"].func.name]
    return bool(names)


class _Nodes:
    """A graph's nodes by name and by who takes their values."""

    def __init__(self, graph: Any) -> None:
        self.by_name = {node.name: node for node in graph.node}
        self.takers: dict[str, list[Any]] = {node.name: [] for node in graph.node}
        for node in graph.node:
            for name in node.input:
                self.takers[_node_of(name)].append(node)

    def only_taker(self, node: Any) -> Any:
        takers = self.takers[node.name]
        return takers[0] if len(takers) == 1 else None

    def source(self, node: Any, position: int = 0) -> Any:
        return self.by_name[_node_of(node.input[position])]

    def constant(self, node: Any, position: int) -> Any:
        """The value of a constant input, perhaps without axes of size 1 that are added to it; or None."""
        source = self.source(node, position)
        while source.op in ("Identity", "ExpandDims"):
            source = self.source(source)
        if source.op != "Const":
            return None
        return quiet_import("tensorflow", "export").make_ndarray(source.attr["value"].tensor)

    def leads_to(self, node: Any, kind: str, through: Sequence[str]) -> bool:
        """Whether an operation of a kind takes a node's value, directly or through others."""
        return any(
            taker.op == kind or (taker.op in through and self.leads_to(taker, kind, through))
            for taker in self.takers[node.name]
        )


def _node_of(name: str) -> str:
    return name.removeprefix("^").split(":")[0]


def _products_for_negations(graph: Any) -> bool:
    """Writes -x as x * -1: TensorFlow Lite has no integer kernel for the former, which layer normalization needs.

    The negation in x/2 * erfc(-x / sqrt(2)) stays: TensorFlow's converter knows GELU by it.
    """
    tf = quiet_import("tensorflow", "export")
    nodes = _Nodes(graph)
    kind = tf.float32.as_datatype_enum
    found = [node for node in graph.node if node.op == "Neg" and node.attr["T"].type == kind]
    found = [node for node in found if not nodes.leads_to(node, "Erfc", ("Mul", "RealDiv"))]
    for node in found:
        factor = graph.node.add(name=f"{node.name}/minus_one", op="Const")
        factor.attr["dtype"].type = kind
        factor.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(-1.0, tf.float32))
        node.op = "Mul"
        node.input.insert(1, factor.name)
    return bool(found)


def _products_for_squares(graph: Any) -> bool:
    """Writes squares, and squared differences, as products, for the same reason: normalization needs them."""
    found = [node for node in graph.node if node.op in ("Square", "SquaredDifference")]
    for node in found:
        if node.op == "SquaredDifference":
            difference = graph.node.add(name=f"{node.name}/difference", op="Sub", input=list(node.input))
            difference.attr["T"].CopyFrom(node.attr["T"])
            node.input[:] = [difference.name]
        node.op = "Mul"
        node.input.insert(1, node.input[0])
    return bool(found)


def _no_roundings(graph: Any) -> bool:
    """Drops roundings to half precision and back, which mixed precision leaves where one model is within another."""
    tf = quiet_import("tensorflow", "export")
    single, half = tf.float32.as_datatype_enum, (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum)
    nodes, changed = _Nodes(graph), False
    for node in graph.node:
        if node.op != "Cast" or node.attr["SrcT"].type != single or node.attr["DstT"].type not in half:
            continue
        for taker in nodes.takers[node.name]:
            if taker.op == "Cast" and taker.attr["DstT"].type == single:
                taker.input[0] = node.input[0]
                taker.attr["SrcT"].type = single
                changed = True
    return changed


def _dilations(graph: Any) -> bool:
    """Makes one dilated convolution of what TensorFlow makes of it on a CPU: batches of every n-th row and column.

    Both converters know that form in some cases only, and then neither join bias and activation with it, nor can it
    be run where the batch is fixed (microcontrollers).
    """
    nodes = _Nodes(graph)
    found = [_dilate(nodes, node) for node in graph.node if node.op == "SpaceToBatchND"]
    return any(found)


def _dilate(nodes: _Nodes, split: Any) -> bool:
    """Joins SpaceToBatchND, a convolution and BatchToSpaceND; Conv1D has ExpandDims and Squeeze around the latter."""
    inner = nodes.only_taker(split)
    expanded = inner is not None and inner.op == "ExpandDims"
    convolution = nodes.only_taker(inner) if expanded else inner
    if convolution is None or convolution.op not in _CONVOLUTIONS or convolution.attr["data_format"].s != b"NHWC":
        return False
    last = nodes.only_taker(convolution)
    if last is not None and expanded:
        last = nodes.only_taker(last) if last.op == "Squeeze" else None
    block, padding = nodes.constant(split, 1), nodes.constant(split, 2)
    if last is None or last.op != "BatchToSpaceND" or block is None or padding is None:
        return False
    crops = nodes.constant(last, 2)
    same_block = np.array_equal(block, nodes.constant(last, 1))
    plain = convolution.attr["padding"].s == b"VALID" and set(convolution.attr["strides"].list.i) == {1}
    if crops is None or not same_block or not plain or len(block) + expanded > 2:
        return False
    kernel = nodes.constant(convolution, 1)
    if kernel is None:
        return False
    added = (padding - crops).tolist()  # what is cropped had only filled up a batch
    reach = [(size - 1) * step for size, step in zip(kernel.shape, block, strict=False)]
    if np.any(added) and added != [[total // 2, total - total // 2] for total in reach]:
        return False
    dilations = [1] * expanded + [int(step) for step in block]
    convolution.attr["padding"].s = b"SAME" if np.any(added) else b"VALID"
    convolution.attr["dilations"].list.i[:] = [1, *dilations, *[1] * (3 - len(dilations))]
    _pass_through(split)
    _pass_through(last)
    return True


def _sizes_known(graph: Any) -> bool:
    """Lets a Reshape work out its one unknown size by itself (-1) instead of from sizes read while the model runs.

    Keras's Flatten reads the batch's size. In TensorFlow Lite that makes every later tensor dynamic, and delegates
    then take the graph in parts, or in older versions not at all.
    """
    tf = quiet_import("tensorflow", "export")
    nodes, changed = _Nodes(graph), False
    for node in [node for node in graph.node if node.op == "Reshape"]:
        packed = nodes.source(node, 1)
        if packed.op != "Pack":
            continue
        sizes = [nodes.constant(packed, position) for position in range(len(packed.input))]
        if sizes.count(None) != 1 or any(size is not None and size < 1 for size in sizes):
            continue
        kind = node.attr["Tshape"].type
        shape = [-1 if size is None else int(size) for size in sizes]
        known = graph.node.add(name=f"{node.name}/sizes", op="Const")
        known.attr["dtype"].type = kind
        known.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(shape, tf.dtypes.as_dtype(kind)))
        node.input[1] = known.name
        changed = True
    return changed


def _pass_through(node: Any) -> None:
    """Lets a node give its first input as it is."""
    del node.input[1:]
    kind = node.attr["T"].type
    node.attr.clear()
    node.op = "Identity"
    node.attr["T"].type = kind


_RULES: tuple[Callable[[Any], bool], ...] = (
    _no_roundings,
    _dilations,
    _sizes_known,
    _products_for_negations,
    _products_for_squares,
)
