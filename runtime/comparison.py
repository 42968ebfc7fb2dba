"""Layer by layer: how far a quantized model file is from its float original on the same inputs.

For each tensor that both files have, with a the float file's values and b the quantized file's, the signal-to-noise
ratio is `10 log10(sum a² / sum (a - b)²)` dB. Noise accumulates on the way through the network, so each layer's own
share is told as well: see `LayerComparison`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import InvalidInputError
from liteport.terminal import ProgressCallback, no_progress

from .activations import Probe
from .matching import Match, match_tensors
from .noise import Noise, to_db
from .weights import WeightComparison, compare_weights

_ACTIVATION_BYTES = 64 << 20  # of one chunk's values in one file: several such stand in memory at a time
_LARGEST_CHUNK = 64


@dataclass(frozen=True)
class LayerComparison:
    """One tensor of both files, and the operations that lead to it from the tensors compared before it.

    Attributes:
        layer: The Keras layer, or several that one operation does the work of, as the tensors' names tell.
        op: The operations in the float file, such as "Conv+Relu".
        tensor: The tensor's name in the float file.
        covers: The float file's tensors that these operations make; `tensor` is the last.
        quantized_tensor: The tensor's name in the quantized file.
        snr_db: Signal-to-noise ratio; infinite where both are equal.
        own_snr_db: What the ratio would be if the inputs were exact: `1 / (1/snr - 1/snr of the inputs)`, taking it
            that a layer passes relative noise on as it came, and at most `grid_snr_db` where the layer has a range of
            its own; infinite where it adds no noise.
        grid_snr_db: What rounding (and clipping) the float file's values to the tensor's grid alone costs: None where
            the tensor is float in the quantized file.
        clip_snr_db: The part of that which clipping costs; infinite where nothing is clipped.
        saturation: Share of values that are at an end of the tensor's range and in the float file lie beyond it by
            more than one step; None where the tensor is float in the quantized file.
        range_used: How much of the tensor's range the float file's values take up; None likewise.
        max_abs_error: Largest |a - b|.
        mean_abs_error: Mean |a - b|.
        weak_channels: Share of channels whose own signal-to-noise ratio is below 10 dB, dead ones aside.
        channel_spread: The largest channel's peak as a multiple of the smallest channel's, dead ones aside.
        weights: How the layer's weights were quantized; None where it has none, or the files' have not one shape.
        inputs: The tensors, compared before, that the operations start from.
    """

    layer: str
    op: str
    tensor: str
    covers: tuple[str, ...]
    quantized_tensor: str
    snr_db: float
    own_snr_db: float
    grid_snr_db: float | None
    clip_snr_db: float | None
    saturation: float | None
    range_used: float | None
    max_abs_error: float
    mean_abs_error: float
    weak_channels: float
    channel_spread: float
    weights: WeightComparison | None
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two files compared.

    Attributes:
        layers: One entry for each tensor compared, in the order in which they are computed.
        tensors: How many floating values the float file computes.
        matched: How many of these the quantized file has too.
        samples: How many items both were run on.
    """

    layers: tuple[LayerComparison, ...]
    tensors: int
    matched: int
    samples: int


def compare_files(
    a: bytes,
    b: bytes,
    suffix: str,
    feeds: Mapping[str, ArrayLike],
    *,
    progress: ProgressCallback = no_progress,
) -> Comparison:
    """Compares a float file with a quantized one, layer by layer, on the same inputs.

    Args:
        a: The float file.
        b: The quantized file, of the same engine and the same model.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".
        feeds: (N, ...) real values, or integers where the model takes such, by each input's name. Where the files
            take a fixed batch, N is cut to a multiple of it.
        progress: Called as work proceeds.

    Raises:
        IntegrityError: If a file is damaged.
        InvalidInputError: If the feeds do not fit, are empty, or the files have no tensor in common.
        MissingDependencyError: If the engine is not installed.
        BackendError: If the engine fails.
    """
    with Probe(a, suffix) as reference, Probe(b, suffix) as quantized:
        pairs = match_tensors(reference.contents, quantized.contents)
        channel_axis = 1 if suffix == ".onnx" else -1
        noises = [Noise(match.grid, -1 if match.is_input else channel_axis) for match in pairs]
        weights: list[WeightComparison | None] = []
        samples = computed = 0
        chunks, total = _chunks(reference, quantized, feeds)
        for chunk in chunks:
            computed = _add(reference, quantized, chunk, pairs, noises)
            samples += len(next(iter(chunk.values())))
            weights = weights or compare_weights(reference, quantized, pairs, chunk)
            progress("compare", samples, total, f"{samples:,} samples" if samples >= total else "")
    compared = [
        (match, noise, entry) for match, noise, entry in zip(pairs, noises, weights, strict=True) if noise.count
    ]
    if not compared:
        raise InvalidInputError("the two files share no tensor by name; expected two files of one model")
    by_name = {match.tensor: noise for match, noise, _ in compared}
    layers = tuple(_layer(match, noise, entry, by_name) for match, noise, entry in compared)
    return Comparison(layers, computed, sum(not match.is_input for match, _, _ in compared), samples)


def _chunks(
    reference: Probe, quantized: Probe, feeds: Mapping[str, ArrayLike]
) -> tuple[Iterator[dict[str, NDArray[np.generic]]], int]:
    """Cuts the feeds into batches whose activations fit into memory; returns them and how many items they hold."""
    arrays = {name: np.asarray(values) for name, values in feeds.items()}
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise InvalidInputError(f"feeds hold {sorted(counts)} items; expected one number, at least 1, for every input")
    count = counts.pop()
    fixed = max((spec.shape[0] or 0 for probe in (reference, quantized) for spec in probe.inputs), default=0)
    if fixed > count:
        raise InvalidInputError(f"feeds hold {count} items; the model takes exactly {fixed} at once")
    step = fixed
    if not step:
        first = reference.run({name: array[:1] for name, array in arrays.items()})
        step = min(_LARGEST_CHUNK, max(1, _ACTIVATION_BYTES // max(1, sum(value.nbytes for value in first.values()))))
    stop = count - count % fixed if fixed else count
    starts = range(0, stop, step)
    return ({name: array[i : min(i + step, stop)] for name, array in arrays.items()} for i in starts), stop


def _add(
    reference: Probe,
    quantized: Probe,
    chunk: Mapping[str, NDArray[np.generic]],
    pairs: tuple[Match, ...],
    noises: list[Noise],
) -> int:
    """Adds one chunk's values, and returns how many real-valued tensors the float file computes from its inputs."""
    exact, noisy = reference.run(chunk), quantized.run(chunk)
    for match, noise in zip(pairs, noises, strict=True):
        first, second = exact.get(match.tensor), noisy.get(match.quantized_tensor)
        # Of one name and yet not one tensor: a converter may name a reshaped value like the one before it.
        if first is not None and second is not None and first.shape == second.shape:
            noise.add(first, second)
    inputs = {reference.contents.tensors[index].name for index in reference.contents.inputs}
    return len(exact.keys() - inputs)


def _layer(
    match: Match, noise: Noise, weights: WeightComparison | None, by_name: Mapping[str, Noise]
) -> LayerComparison:
    sources = [by_name[name] for name in match.inputs if name in by_name]
    # Signals that are added add their noise: one ratio for all inputs together.
    signal, inherited = sum(entry.signal for entry in sources), sum(entry.noise for entry in sources)
    own = max(0.0, noise.ratio - (inherited / signal if signal else 0.0))
    quantized = match.grid is not None
    if quantized and all(entry.grid != match.grid for entry in sources):  # pooling keeps the range that it is given
        own = max(own, min(noise.grid_ratio, noise.ratio))
    return LayerComparison(
        layer=match.layer,
        op=match.op,
        tensor=match.tensor,
        covers=match.covers,
        quantized_tensor=match.quantized_tensor,
        snr_db=to_db(noise.ratio),
        own_snr_db=to_db(own),
        grid_snr_db=to_db(noise.grid_ratio) if quantized else None,
        clip_snr_db=to_db(noise.clip_ratio) if quantized else None,
        saturation=noise.saturated / noise.count if quantized else None,
        range_used=noise.range_used() if quantized else None,
        max_abs_error=noise.max_error,
        mean_abs_error=noise.error / noise.count,
        weak_channels=noise.weak_channels(),
        channel_spread=noise.channel_spread(),
        weights=weights,
        inputs=tuple(name for name in match.inputs if name in by_name),
    )
