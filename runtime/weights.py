"""How a layer's weights were quantized, seen beside the float file's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .activations import Probe
from .contents import Tensor
from .matching import WEIGHTED, Match
from .noise import Noise, to_db

_READABLE = ("int4", "int8", "uint8", "int16", "int32", "float16", "float32")  # LiteRT gives int4 unpacked


@dataclass(frozen=True)
class WeightComparison:
    """A layer's weights in both files.

    Attributes:
        tensor: Their name in the quantized file.
        dtype: Their type there.
        per_channel: Whether each output channel has a scale of its own.
        snr_db: Signal-to-noise ratio; infinite where both are equal.
        weak_channels: Share of output channels whose own ratio is below 10 dB.
        channel_spread: The largest output channel's peak as a multiple of the smallest channel's.
    """

    tensor: str
    dtype: str
    per_channel: bool
    snr_db: float
    weak_channels: float
    channel_spread: float


def compare_weights(
    reference: Probe, quantized: Probe, pairs: tuple[Match, ...], feeds: Mapping[str, ArrayLike]
) -> list[WeightComparison | None]:
    """Compares the weights of every match; None where it has none, or they cannot be compared.

    Args:
        reference: The float file.
        quantized: The quantized file.
        pairs: What to compare.
        feeds: Inputs for one run, which the engines want before they show anything.
    """
    tensors = {tensor.name: tensor for tensor in quantized.contents.tensors}
    wanted = [pair.weights for pair in pairs if pair.weights and _readable(tensors[pair.weights.quantized_tensor])]
    one = {name: np.asarray(values)[: reference.inputs[0].shape[0] or 1] for name, values in feeds.items()}
    exact = reference.run(one, {entry.tensor for entry in wanted})
    stored = quantized.run(one, {entry.quantized_tensor for entry in wanted})
    results: list[WeightComparison | None] = []
    for pair in pairs:
        entry = pair.weights if pair.weights in wanted else None
        results.append(
            _compared(entry.op, exact[entry.tensor], stored[entry.quantized_tensor], tensors[entry.quantized_tensor])
            if entry
            else None
        )
    return results


def _readable(tensor: Tensor) -> bool:
    blocks = len(tensor.scales) > 1 and (tensor.axis is None or len(tensor.scales) != tensor.shape[tensor.axis])
    return tensor.dtype in _READABLE and not blocks


def _compared(
    op: str, exact: NDArray[np.generic], stored: NDArray[np.generic], tensor: Tensor
) -> WeightComparison | None:
    if exact.shape != stored.shape or not exact.size:
        return None
    noise = Noise(None, WEIGHTED[op])
    noise.add(np.asarray(exact, np.float32), np.asarray(stored, np.float32))
    return WeightComparison(
        tensor=tensor.name,
        dtype=tensor.dtype,
        per_channel=len(tensor.scales) > 1,
        snr_db=to_db(noise.ratio),
        weak_channels=noise.weak_channels(),
        channel_spread=noise.channel_spread(),
    )
