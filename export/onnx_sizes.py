"""Makes Resize and ConvTranspose state exactly the sizes that TensorFlow's graph has."""

from fractions import Fraction
from typing import Any

import numpy as np

from .onnx_graph import Graph, attribute, set_attribute

_SCALES, _SIZES = 2, 3


def fix_transposed(graph: Graph) -> None:
    """Writes negative padding at the end of a ConvTranspose, which ONNX forbids, as output padding: what it means."""
    for node in graph.nodes:
        pads = attribute(node, "pads", [])
        if node.op_type != "ConvTranspose" or min(pads, default=0) >= 0:
            continue
        begin, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
        added = attribute(node, "output_padding", [0] * len(end))
        set_attribute(node, "output_padding", [more + max(-size, 0) for more, size in zip(added, end, strict=True)])
        set_attribute(node, "pads", [*begin, *(max(size, 0) for size in end)])


def round_up_scales(graph: Graph) -> None:
    """Raises each Resize's scales so that sizes, which are rounded down, come out as TensorFlow has them.

    7/12 is less in single precision, and would make 6 rows of 12. Passes need right sizes; `sizes_for_scales` then
    restores the exact ratios.
    """
    for node in list(graph.nodes):
        ratios = _ratios(graph, node)
        if ratios is None:
            continue
        scales = np.array([float(ratio) for ratio in ratios], np.float32)
        low = np.array([Fraction(float(scale)) < ratio for scale, ratio in zip(scales, ratios, strict=True)])
        if low.any():
            raised = np.where(low, np.nextafter(scales, np.float32(np.inf)), scales)
            name = graph.add_constant(node.input[_SCALES], raised)
            before = graph.shape(node.output[0])
            graph.set_inputs(node, [*node.input[:_SCALES], name])
            graph.infer()
            for taker in graph.consumers(node.output[0]):
                _reshape_anew(graph, taker, before, graph.shape(node.output[0]))


def _reshape_anew(graph: Graph, node: Any, before: list[int | None] | None, after: list[int | None] | None) -> None:
    """Gives a Reshape the new sizes: tf2onnx makes it of a turn to channels last where there is one channel."""
    target = graph.constant(node.input[1]) if node.op_type == "Reshape" else None
    if target is None or before is None or after is None:
        return
    if target.tolist()[1:] == [*before[2:], before[1]]:
        turned = np.array([target[0], *(size or -1 for size in [*after[2:], after[1]])], np.int64)
        graph.set_inputs(node, [node.input[0], graph.add_constant(node.input[1], turned)])


def sizes_for_scales(graph: Graph) -> None:
    """States sizes instead of scales where a scale is no exact ratio; nearest neighbours depend on it."""
    for node in list(graph.nodes):
        ratios, shape = _ratios(graph, node), graph.shape(node.input[0])
        if ratios is None or shape is None:
            continue
        scales = graph.constant(node.input[_SCALES])
        if scales is None or all(Fraction(float(s)) == ratio for s, ratio in zip(scales, ratios, strict=True)):
            continue
        sizes = [None if size is None else int(size * ratio) for size, ratio in zip(shape, ratios, strict=True)]
        graph.set_inputs(node, [node.input[0], "", "", _stated(graph, node, sizes)])


def _stated(graph: Graph, node: Any, sizes: list[int | None]) -> str:
    """A value that holds these sizes; a free batch is read from the data."""
    name = node.output[0]
    if sizes[0] is not None:
        return graph.add_constant(f"{name}/sizes", np.array(sizes, np.int64))
    first, second = (graph.add_constant(f"{name}/{end}", np.array([end], np.int64)) for end in (0, 1))
    rest = graph.add_constant(f"{name}/sizes", np.array(sizes[1:], np.int64))
    whole = graph.insert(node, "Shape", [node.input[0]], [len(sizes)])
    batch = graph.insert(node, "Slice", [whole, first, second], [1])
    return graph.insert(node, "Concat", [batch, rest], [len(sizes)], axis=0)


def _ratios(graph: Graph, node: Any) -> list[Fraction] | None:
    """The exact ratios that a Resize's scales stand for; None where they are not known."""
    if node.op_type != "Resize" or len(node.input) != _SIZES or attribute(node, "axes") is not None:
        return None
    scales, shape = graph.constant(node.input[_SCALES]), graph.shape(node.input[0])
    if scales is None or shape is None or len(scales) != len(shape):
        return None
    ratios = [
        Fraction(1) if size is None and scale == 1 else Fraction(round(float(scale) * size), size) if size else None
        for scale, size in zip(scales, shape, strict=True)
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    return known if len(known) == len(ratios) and None not in shape[1:] else None
