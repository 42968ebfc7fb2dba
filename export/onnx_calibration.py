"""The ranges that activations take on calibration data, from which their scales and zero points follow.

- `minmax`: all values seen. Nothing is clipped; one outlier makes the step coarse for everything else.
- `percentile`: without the 0.01 % at the ends (0.005 % each), where there are values on either side of zero.
- `entropy`: clipped where the quantized distribution tells most of the original: the threshold of the smallest
  Kullback-Leibler divergence (S. Migacz, 8-bit inference with TensorRT, GTC 2017), on values of either sign.

onnxruntime's own calibrators hold the activations of all samples in memory (27 GB for 500 samples of a 224x224
MobileNetV2), and its entropy, by default, has as many bins as levels and so hardly a threshold to choose from. Here the
data passes through twice, in batches: for the ends, which the graph computes itself, and, where needed, for a histogram
between them. The same MobileNetV2 takes some 0.6 GB, however many the samples.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError, require

Ranges = dict[str, tuple[np.float32, np.float32]]

_LARGEST_BATCH = 16
_ACTIVATION_BYTES = 256 << 20  # at a time, or those of one sample
_BINS = 2048
_LEVELS = 256
_TAIL = 0.0001 / 2  # at either end


def activation_ranges(model: Any, samples: Mapping[str, NDArray[Any]], method: str) -> Ranges:
    """Returns the least and the greatest value to represent, of each floating value that a model computes or takes.

    Args:
        model: A float32 `ModelProto`.
        samples: Model input by name, (N, ...) each.
        method: "minmax", "percentile" or "entropy".

    Raises:
        InvalidInputError: If there are no samples, or they hold a value that is not finite.
        ConversionError: If an activation is not finite.
    """
    for name, array in samples.items():
        if not len(array):
            raise InvalidInputError("there are no samples to calibrate on; expected at least one")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidInputError(f"the samples to calibrate on hold a value of {name} that is not finite")
    shapes = _floating_values(model)
    size = 4 * sum(math.prod(sizes) for sizes in shapes.values())
    batch = min(max(_ACTIVATION_BYTES // max(size, 1), 1), _LARGEST_BATCH)
    ends = _ends(model, list(shapes), samples, batch)
    if wrong := [name for name, (low, high) in ends.items() if not np.isfinite([low, high]).all()]:
        raise ConversionError(f"{wrong[0]} is not finite on the calibration data, so it has no range")
    if method == "minmax":
        return ends
    pick = {"percentile": percentile_range, "entropy": entropy_range}[method]
    counts = _histograms(model, ends, samples, batch)
    return {name: pick(counts[name], low, high) for name, (low, high) in ends.items()}


def percentile_range(counts: NDArray[np.int64], low: np.float32, high: np.float32) -> tuple[np.float32, np.float32]:
    """The range without its rarest ends.

    Args:
        counts: How many values are in each of equal bins from `low` to `high`.
        low: The least value.
        high: The greatest.
    """
    below = np.cumsum(counts) / max(counts.sum(), 1)
    edges = np.linspace(low, high, len(counts) + 1)
    first = int(np.searchsorted(below, _TAIL, side="right"))
    last = int(np.searchsorted(below, 1 - _TAIL))
    return np.float32(edges[min(first, last)]), np.float32(edges[last + 1])


def entropy_range(counts: NDArray[np.int64], low: np.float32, high: np.float32) -> tuple[np.float32, np.float32]:
    """The range, clipped at the magnitude that loses least information; see `percentile_range` for the arguments."""
    edges = np.linspace(low, high, len(counts) + 1)
    if low <= 0 <= high and high > low:
        # Zero is represented exactly in any range, and what ReLU makes zero would outweigh all else.
        zero = min(int(np.searchsorted(edges, 0, side="right")) - 1, len(counts) - 1)
        counts = counts.copy()
        counts[zero] = max(counts[max(zero - 1, 0) : zero + 2].min(), 1)
    best, least = (low, high), np.inf
    for threshold in max(abs(low), abs(high)) * np.arange(_LEVELS // 2, _BINS + 1, 16) / _BINS:
        first = max(int(np.searchsorted(edges, -threshold, side="right")) - 1, 0)
        last = min(int(np.searchsorted(edges, threshold)), len(counts))
        if last - first >= _LEVELS and (loss := _divergence(counts, first, last)) <= least:
            best, least = (np.float32(edges[first]), np.float32(edges[last])), loss
    return best


def _divergence(counts: NDArray[np.int64], first: int, last: int) -> float:
    """How much a distribution differs from what is left of it when clipped to some bins and quantized."""
    kept = counts[first:last].astype(np.float64)
    clipped = kept.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    level = np.arange(len(kept)) * _LEVELS // len(kept)
    filled = np.bincount(level, kept > 0, _LEVELS)
    quantized = np.bincount(level, kept, _LEVELS)[level] / np.maximum(filled[level], 1) * (kept > 0)
    seen = clipped > 0
    p = clipped[seen] / clipped.sum()
    q = np.maximum(quantized[seen] / max(quantized.sum(), 1), 1e-9)  # a clipped bin may have held nothing itself
    return float((p * np.log(p / q)).sum())


def _floating_values(model: Any) -> dict[str, list[int]]:
    """Names and sizes of the values that are to get a range; the batch, and what else is not known, counts as 1."""
    onnx = require("onnx", "export")
    graph = onnx.shape_inference.infer_shapes(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        value.name: [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and value.name not in constants
    }


def _ends(model: Any, names: list[str], samples: Mapping[str, NDArray[Any]], batch: int) -> Ranges:
    """Runs the model with the least and the greatest of each value as its outputs."""
    onnx = require("onnx", "export")
    asked = type(model).FromString(model.SerializeToString())
    del asked.graph.output[:]
    for number, name in enumerate(names):
        for kind in ("ReduceMin", "ReduceMax"):
            asked.graph.node.append(onnx.helper.make_node(kind, [name], [f"{kind}/{number}"], keepdims=0))
            asked.graph.output.append(onnx.helper.make_tensor_value_info(f"{kind}/{number}", 1, []))
    found = np.stack([np.stack(answers) for answers in _answers(asked, samples, batch)]).astype(np.float32)
    lows, highs = found[:, ::2].min(0), found[:, 1::2].max(0)
    return {name: (lows[number], highs[number]) for number, name in enumerate(names)}


def _histograms(
    model: Any, ends: Ranges, samples: Mapping[str, NDArray[Any]], batch: int
) -> dict[str, NDArray[np.int64]]:
    """Runs the model with each value as an output and counts values in equal bins between its ends."""
    onnx = require("onnx", "export")
    asked = type(model).FromString(model.SerializeToString())
    given = {value.name for value in model.graph.input}
    names = [name for name in ends if name not in given]
    del asked.graph.output[:]
    asked.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    counts = {name: np.zeros(_BINS, np.int64) for name in ends}
    for answers in _answers(asked, samples, batch):
        for name, values in zip(names, answers, strict=True):
            _count(counts[name], values, *ends[name])
    for name in given & set(ends):
        _count(counts[name], samples[name], *ends[name])
    return counts


def _count(counts: NDArray[np.int64], values: NDArray[Any], low: np.float32, high: np.float32) -> None:
    step = (float(high) - float(low)) / _BINS
    if step > 0:
        bins = ((values.reshape(-1) - low) * np.float32(1 / step)).astype(np.int32)
        counts += np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
    else:
        counts[-1] += values.size


def _answers(model: Any, samples: Mapping[str, NDArray[Any]], batch: int) -> Iterator[list[NDArray[Any]]]:
    """Runs a model on all samples, a batch at a time; where its batch is fixed, the last samples may come twice."""
    onnxruntime = require("onnxruntime", "export")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sizes = {value.shape[0] for value in session.get_inputs() if value.shape and isinstance(value.shape[0], int)}
    batch, total = max(sizes, default=batch), len(next(iter(samples.values())))
    for start in range(0, total, batch):
        places = np.arange(start, start + batch) if sizes else np.arange(start, min(start + batch, total))
        feed = {value.name: samples[value.name][places % total] for value in session.get_inputs()}
        yield session.run(None, feed)
