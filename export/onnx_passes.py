"""Tidies the graph that tf2onnx makes of a Keras model.

What tf2onnx leaves costs time, and quantization would give each of these nodes a rounding of its own: turns between
channels last and first, shapes that are computed while the model runs, batch norm beside the layer it belongs to, a
product and its bias apart. The passes here remove them; each gives an equal graph, up to the rounding of constants.
"""

from typing import Any

import numpy as np

from .onnx_flatten import fix_shapes, flatten, merge_reshapes, unwrap_products
from .onnx_folding import fold
from .onnx_graph import Graph
from .onnx_layout import order_of, remove_turns
from .onnx_sizes import fix_transposed, round_up_scales, sizes_for_scales


def tidy(model: Any) -> Any:
    """Returns an equivalent model with a simpler graph.

    Args:
        model: A `ModelProto`; it is changed.
    """
    graph = Graph(model)
    fix_transposed(graph)
    round_up_scales(graph)
    fix_shapes(graph)
    graph.infer()
    unwrap_products(graph)
    repeats_to_resize(graph)
    remove_turns(graph)
    merge_reshapes(graph)
    graph.drop_unused()
    flatten(graph)
    fold(graph)
    sizes_for_scales(graph)
    graph.rename()
    del model.opset_import[:]  # tf2onnx names a domain that nothing here is of
    model.opset_import.add(version=graph.opset)
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    return model


def repeats_to_resize(graph: Graph) -> None:
    """Makes a Resize of what repeats rows or columns (Keras's UpSampling2D): Unsqueeze, Tile, Reshape.

    tf2onnx may have put a turn between the last two; it then comes after the Resize.
    """
    for node in list(graph.nodes):
        if node.op_type == "Tile":
            _resize(graph, node)


def _resize(graph: Graph, tile: Any) -> None:
    apart, last = graph.producer(tile.input[0]), graph.only_consumer(tile.output[0])
    turn = None
    if last is not None and last.op_type == "Transpose":
        turn, last = last, graph.only_consumer(last.output[0])
    if apart is None or apart.op_type != "Unsqueeze" or last is None or last.op_type != "Reshape":
        return
    source, axes = graph.shape(apart.input[0]), graph.constant(apart.input[1])
    repeats = graph.constant(tile.input[1])
    if source is None or axes is None or len(axes) != 1 or repeats is None or (axis := int(axes[0])) < 1:
        return
    scales = np.ones(len(source), np.float32)
    scales[axis - 1] = repeats[axis]
    order = list(range(len(repeats))) if turn is None else list(order_of(turn))
    left = [entry - (entry > axis) for entry in order if entry != axis]
    sizes = [None if size is None else int(size * scale) for size, scale in zip(source, scales, strict=True)]
    neighbours = order.index(axis) == order.index(axis - 1) + 1
    if not neighbours or repeats.prod() != repeats[axis] or graph.shape(last.output[0]) != [sizes[a] for a in left]:
        return
    inputs = [apart.input[0], "", graph.add_constant(f"{tile.output[0]}/scales", scales)]
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if turn is None:
        graph.replace(last, "Resize", inputs, **how)
    else:
        bigger = graph.fresh(apart.input[0])
        graph.insert_after(tile, "Resize", inputs, bigger, sizes, **how)
        graph.replace(last, "Transpose", [bigger], perm=left)
