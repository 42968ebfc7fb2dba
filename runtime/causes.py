"""Which layers quantization hurts most, and by what, as far as a comparison shows it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .comparison import Comparison, LayerComparison

Cause = Literal["saturation", "resolution", "weights", "channels", "inputs"]
"""Why a layer's values are noisy.

saturation: values beyond the range that calibration found are clipped.
resolution: the step between quantized values is coarse for the values there are.
weights: the weights' rounding.
channels: one scale serves channels of very different ranges; the small ones are lost, as the layer after it shows.
inputs: none of these: noise of the inputs that the layer amplifies, or quantization inside the operation.
"""

_EXPLAINS = 0.5  # of a layer's own noise: with less, what rounds its weights and values is not why it is noisy
# Operations that leave the ranges of channels to one another as they were.
_VIEWS = (
    *("RESHAPE", "SQUEEZE", "TRANSPOSE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN"),
    *("Reshape", "Squeeze", "Transpose", "Pad", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "ReduceMean"),
)
_MOST = 1e6  # times the signal: noise on values that should all be 0 is infinitely much
_WIDE = 16  # channels' ranges so far apart leave the smallest one four bits of eight


@dataclass(frozen=True)
class Finding:
    """How much noise a layer is to blame for.

    Attributes:
        layer: The layer.
        noise: Its own noise as a multiple of the signal, in power: what ranks it.
        cause: What made most of it.
        seen_in: For "channels": the layer after it in which the loss shows.
    """

    layer: LayerComparison
    noise: float
    cause: Cause
    seen_in: str | None = None


def rank_layers(comparison: Comparison) -> tuple[Finding, ...]:
    """Ranks layers by the noise that they add themselves, the worst first; those that add none end the list.

    Where a layer adds noise that neither its weights nor its range explain, and one of its inputs has weak channels
    of widely different ranges, that input's layer is blamed: the whole tensor's ratio hides what small channels lose
    until a layer weighs them up.

    Args:
        comparison: As `compare_files` returns it.
    """
    by_tensor = {layer.tensor: layer for layer in comparison.layers}
    blamed: dict[str, Finding] = {}
    for layer in comparison.layers:
        finding = Finding(layer, _ratio(layer.own_snr_db), _cause(layer))
        origins = [_origin(by_tensor[name], by_tensor) for name in layer.inputs]
        if finding.cause == "inputs" and (uneven := list(filter(_uneven, origins))):
            worst = max(uneven, key=lambda entry: entry.channel_spread)
            finding = replace(finding, layer=worst, cause="channels", seen_in=layer.layer)
        for entry in (finding, Finding(layer, 0.0, finding.cause)):  # a layer that another is blamed for stays listed
            known = blamed.get(entry.layer.tensor)
            if known is None or known.noise < entry.noise:
                blamed[entry.layer.tensor] = entry
    return tuple(sorted(blamed.values(), key=lambda finding: (-finding.noise, finding.layer.snr_db)))


def _cause(layer: LayerComparison) -> Cause:
    clipped = 0.0 if layer.clip_snr_db is None else _ratio(layer.clip_snr_db)
    rounded = 0.0 if layer.grid_snr_db is None else _ratio(layer.grid_snr_db) - clipped
    weights = 0.0 if layer.weights is None else _ratio(layer.weights.snr_db)
    sources: Sequence[tuple[float, Cause]] = ((clipped, "saturation"), (rounded, "resolution"), (weights, "weights"))
    explained = sum(ratio for ratio, _ in sources)
    return max(sources)[1] if explained >= _EXPLAINS * _ratio(layer.own_snr_db) else "inputs"


def _uneven(layer: LayerComparison) -> bool:
    return layer.weak_channels > 0 and layer.channel_spread >= _WIDE and layer.grid_snr_db is not None


def _origin(layer: LayerComparison, by_tensor: dict[str, LayerComparison]) -> LayerComparison:
    """Follows channels back through pooling and the like to the layer that gave them their ranges."""
    while set(layer.op.split("+")) <= set(_VIEWS) and len(layer.inputs) == 1:
        layer = by_tensor[layer.inputs[0]]
    return layer


def _ratio(snr_db: float) -> float:
    """The noise-to-signal power ratio that a signal-to-noise ratio in dB stands for."""
    return 0.0 if snr_db == math.inf else min(10 ** (-snr_db / 10), _MOST)
