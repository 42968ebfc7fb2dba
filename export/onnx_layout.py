"""Takes the turns from channels first to channels last out of a graph.

Keras keeps channels last, ONNX first, so tf2onnx turns values (Transpose) around convolutions, and back before the
next one, but does not see through everything that lies between. Here a turn is moved down, past each operation that
can do the same on the value as it was before, until it meets the turn back, and both go; or a dense layer, whose rows
can stand in for it (`onnx_flatten`). Every step gives an equal graph with the turn further down, so this ends.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .onnx_graph import Graph, attribute, axes_of, set_attribute

Order = tuple[int, ...]
"""A Transpose's `perm`: axis i of its result is axis `order[i]` of what it takes."""

# What a rule gives: the node's new inputs, and the order of the turn that its value needs; None where it cannot be.
_Pushed = tuple[list[str], Order] | None


def remove_turns(graph: Graph) -> None:
    """Moves each turn down as far as it goes, and makes those that move no element a Reshape."""
    waiting = [node for node in graph.nodes if node.op_type == "Transpose"]
    while waiting:
        turn = waiting.pop()
        if turn.op_type == "Transpose" and _is_turn(order_of(turn)):
            for taker in list(graph.consumers(turn.output[0])):
                waiting.extend(_sink(graph, turn, taker))
    graph.drop_unused()
    for node in graph.nodes:
        if node.op_type == "Transpose" and _moves_only_ones(graph.shape(node.input[0]), order_of(node)):
            _reshape_instead(graph, node)


def order_of(turn: Any) -> Order:
    """The `perm` of a Transpose; without one the axes would be reversed, which tf2onnx always spells out."""
    return tuple(attribute(turn, "perm", ()))


def _is_turn(order: Order) -> bool:
    """Whether an order moves the channels from first to last and nothing else."""
    return len(order) > 2 and order == (0, *range(2, len(order)), 1)


def _moves_only_ones(shape: Sequence[int | None] | None, order: Order) -> bool:
    """Whether the axes of any size keep their order, so that no element moves."""
    if shape is None or len(shape) != len(order):
        return False
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


def _inverse(order: Order) -> Order:
    return tuple(int(axis) for axis in np.argsort(order))


def _turned(shape: list[int | None] | None, order: Order) -> list[int | None] | None:
    return None if shape is None else [shape[axis] for axis in order]


def _reshape_instead(graph: Graph, turn: Any) -> None:
    shape = _turned(graph.shape(turn.input[0]), order_of(turn))
    if shape is not None and shape.count(None) <= 1:
        target = graph.add_constant(
            f"{turn.output[0]}/shape", np.array([-1 if size is None else size for size in shape])
        )
        graph.replace(turn, "Reshape", [turn.input[0], target])


def _sink(graph: Graph, turn: Any, taker: Any) -> list[Any]:
    """Moves a turn past a node that takes its value, where there is a rule; returns the turns that come of it."""
    rule = _RULES.get(taker.op_type)
    pushed = None if rule is None else rule(graph, taker, order_of(turn))
    if pushed is None:
        return []
    inputs, order = pushed
    graph.set_inputs(taker, inputs)
    if order == tuple(range(len(order))):
        if taker.op_type == "Transpose" and not graph.rewire(taker.output[0], inputs[0]):
            graph.replace(taker, "Identity", inputs)
        return []
    if taker.op_type == "Transpose":
        set_attribute(taker, "perm", list(order))
        return [taker]
    turns = []
    for index, name in enumerate(list(taker.output)):
        source, shape = graph.fresh(name), graph.shape(name)
        graph.set_output(taker, source, _turned(shape, _inverse(order)), index)
        graph.insert_after(taker, "Transpose", [source], name, shape, perm=list(order))
        turns.append(graph.producer(name))
    return turns


def _before(graph: Graph, node: Any, name: str, order: Order) -> str | None:
    """A value as it was before the turn: its source, a constant turned back, or one that turning back only reshapes."""
    maker = graph.producer(name)
    if maker is not None and maker.op_type == "Transpose" and order_of(maker) == order:
        return str(maker.input[0])
    shape = graph.shape(name)
    if shape is None or len(shape) > len(order):
        return None
    values, full = graph.constant(name), [1] * (len(order) - len(shape)) + shape
    if not shape or (values is not None and values.size == 1):
        return name
    if values is not None:
        return graph.add_constant(name, values.reshape([size or 0 for size in full]).transpose(_inverse(order)))
    back = _turned(full, _inverse(order)) or []
    if len(shape) < len(order) or not _moves_only_ones(shape, _inverse(order)) or back.count(None) > 1:
        return None
    target = graph.add_constant(f"{name}/shape", np.array([-1 if size is None else size for size in back]))
    return graph.insert(node, "Reshape", [name, target], back)


def _elementwise(graph: Graph, node: Any, order: Order) -> _Pushed:
    if len(graph.shape(node.output[0]) or ()) != len(order):
        return None
    inputs = []
    for name in node.input:
        source = _before(graph, node, name, order) if name else name
        if source is None:
            return None
        inputs.append(source)
    return inputs, order


def _along_axis(graph: Graph, node: Any, order: Order) -> _Pushed:
    """Concat and Split."""
    data = list(node.input) if node.op_type == "Concat" else list(node.input[:1])
    pushed = []
    for name in data:
        maker = graph.producer(name)
        if maker is None or maker.op_type != "Transpose" or order_of(maker) != order:
            return None
        pushed.append(maker.input[0])
    set_attribute(node, "axis", order[attribute(node, "axis", 0)])
    return [*pushed, *node.input[len(data) :]], order


def _without_axes(graph: Graph, node: Any, order: Order) -> _Pushed:
    """Reductions and Squeeze, which drop axes unless told to keep them."""
    axes = axes_of(graph, node)
    if axes is None:
        return None
    axes = [axis % len(order) for axis in axes]
    moved = sorted(order[axis] for axis in axes)
    inputs = [graph.producer(node.input[0]).input[0], *node.input[1:]]
    if attribute(node, "axes") is None:
        inputs[1] = graph.add_constant(node.input[1], np.array(moved))
    else:
        set_attribute(node, "axes", moved)
    if node.op_type != "Squeeze" and attribute(node, "keepdims", 1):
        return inputs, order
    left = [order[axis] for axis in range(len(order)) if axis not in axes]
    return inputs, tuple(sorted(left).index(axis) for axis in left)


def _per_axis(*positions: int) -> Callable[[Graph, Any, Order], _Pushed]:
    """A rule for nodes with constant inputs that hold one number an axis, such as Resize's scales.

    Args:
        *positions: Which inputs these are. Pad's has two numbers an axis, all beginnings first.
    """

    def rule(graph: Graph, node: Any, order: Order) -> _Pushed:
        inputs = [graph.producer(node.input[0]).input[0], *node.input[1:]]
        if attribute(node, "axes") is not None or (node.op_type == "Pad" and len(node.input) > 3 and node.input[3]):
            return None
        for position in positions:
            if position >= len(inputs) or not inputs[position]:
                continue
            values = graph.constant(inputs[position])
            if values is None or values.size % len(order):
                return None
            if values.size:
                moved = values.reshape(-1, len(order))[:, list(_inverse(order))].reshape(-1)
                inputs[position] = graph.add_constant(inputs[position], moved)
        return inputs, order

    return rule


def _slice(graph: Graph, node: Any, order: Order) -> _Pushed:
    if len(node.input) < 4 or (axes := graph.constant(node.input[3])) is None:
        return None
    moved = np.array([order[int(axis) % len(order)] for axis in axes])
    source = graph.producer(node.input[0]).input[0]
    return [source, *node.input[1:3], graph.add_constant(node.input[3], moved), *node.input[4:]], order


def _dense(graph: Graph, node: Any, order: Order) -> _Pushed:
    """A dense layer on the channels of a map is a convolution of size 1."""
    weights, sizes = graph.constant(node.input[1]), len(order) - 2
    if weights is None or weights.ndim != 2:
        return None
    source = graph.producer(node.input[0]).input[0]
    kernel = graph.add_constant(node.input[1], weights.T.reshape(*weights.T.shape, *[1] * sizes))
    graph.replace(node, "Conv", [source, kernel], kernel_shape=[1] * sizes)
    return [source, kernel], order


def _composed(graph: Graph, node: Any, order: Order) -> _Pushed:
    return [graph.producer(node.input[0]).input[0]], tuple(order[axis] for axis in order_of(node))


_ELEMENTWISE = (
    "Abs Add And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Greater GreaterOrEqual HardSigmoid HardSwish Identity "
    "LeakyRelu Less LessOrEqual Log Max Min Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin "
    "Softplus Softsign Sqrt Sub Tanh ThresholdedRelu Where"
)
_RULES: dict[str, Callable[[Graph, Any, Order], _Pushed]] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(("Concat", "Split"), _along_axis),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "Squeeze"), _without_axes),
    "Pad": _per_axis(1),
    "Resize": _per_axis(1, 2, 3),
    "Tile": _per_axis(1),
    "Slice": _slice,
    "MatMul": _dense,
    "Transpose": _composed,
}
