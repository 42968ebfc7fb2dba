"""Sentences on why a quantized variant is less accurate or slower here: each says what was seen or measured."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from liteport.runtime import BackendInfo
from liteport.runtime.causes import Cause, Finding
from liteport.runtime.comparison import Comparison

from ..accuracy import Accuracy
from .file_facts import NARROW, FileFacts
from .pace import OpTime, Pace

WORST = 5
_SAME = 0.05  # latencies closer than this are called equal: what is left of a shared machine's noise
_SHOWS = 0.05  # a share of time from which on an operation is worth a word
_COUNTS = 0.01  # of all noise that layers add
_WIDE = 16
_FIXED_RANGE = ("SOFTMAX", "LOGISTIC", "TANH", "Softmax", "Sigmoid", "Tanh")
_OTHER_KERNELS = 6  # dB: half or twice the error; other rounding makes one or two
_OUTLIER = 0.25  # of a range used: two bits lost
# Any of these multiplies int8 and adds up in one instruction; without them it takes several.
DOT_PRODUCT_FEATURES = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


@dataclass(frozen=True)
class Evidence:
    """All that was seen and measured of a float file and a quantized one.

    Attributes:
        reference: The float file's name.
        quantized: The quantized file's name.
        data: Which images.
        facts: What is in the quantized file.
        comparison: Layer by layer.
        findings: The layers, the worst first.
        accuracy: The quantized model's answers beside the float model's.
        output_snr_db: Signal-to-noise ratio of the quantized model's answers as the engine gives them.
        pace: Both timed side by side.
        engines: What ran the float model and the quantized one.
        profile: Where ONNX Runtime spends the quantized model's time; empty for TFLite, which does not tell.
        cpu_features: Of this machine's processor; empty where the system does not tell.
    """

    reference: str
    quantized: str
    data: str
    facts: FileFacts
    comparison: Comparison
    findings: Sequence[Finding]
    accuracy: Accuracy
    output_snr_db: float
    pace: Pace
    engines: tuple[BackendInfo, BackendInfo]
    profile: Sequence[OpTime]
    cpu_features: tuple[str, ...]


def worst_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the five layers that add most noise, less those that add hardly any."""
    total = sum(finding.noise for finding in findings)
    return [finding for finding in findings if finding.noise > _COUNTS * total][:WORST]


def diagnose(evidence: Evidence) -> list[str]:
    """Returns a few sentences, accuracy first and speed after."""
    return [*_on_accuracy(evidence), *_on_speed(evidence)]


def _on_accuracy(evidence: Evidence) -> Iterator[str]:
    found = evidence.accuracy
    yield (
        f"Accuracy on {found.images} images of {evidence.data}: {evidence.quantized} {found.accuracy:.2%}, "
        f"{evidence.reference} {(found.correct + found.lost - found.won) / found.images:.2%} "
        f"({found.lost} lost, {found.won} won; the same top class on {found.top1_agreement:.2%})."
    )
    if not (added := worst_findings(evidence.findings)):
        yield "No layer adds noise: both files compute the same values."
        return
    worst = added[0]
    share = worst.noise / sum(finding.noise for finding in evidence.findings)
    yield (
        f"{title(worst)} loses most: {share:.0%} of the noise that layers add themselves; {CAUSES[worst.cause](worst)}."
    )
    if found.lost <= found.won:
        yield "It costs no accuracy here."
    yield from _on_kernels(evidence)


def _on_kernels(evidence: Evidence) -> Iterator[str]:
    """The layers are computed one by one, which engines do in other kernels: told where that makes a difference."""
    last = evidence.comparison.layers[-1]
    if last.layer == "(output)" and abs(last.snr_db - evidence.output_snr_db) > _OTHER_KERNELS:
        yield (
            f"Take the layers' figures with care: computed one by one they end at {decibels(last.snr_db)} dB, "
            f"but the answers as {evidence.engines[1]} gives them have {decibels(evidence.output_snr_db)} dB."
        )


def _saturation(finding: Finding) -> str:
    return (
        f"saturation: {_share(finding.layer.saturation)} of its values lie beyond the range it was calibrated for and "
        "are clipped"
    )


def _resolution(finding: Finding) -> str:
    layer = finding.layer
    text = f"resolution: rounding its values to the steps of its range leaves {decibels(layer.grid_snr_db)} dB"
    if layer.op.split("+")[-1] in _FIXED_RANGE:
        text += ", and that range is the operation's, whatever values there are"
    elif layer.range_used is not None and layer.range_used < _OUTLIER:
        text += (
            f", as they take up only {_share(layer.range_used)} of that range: it was calibrated on larger values, "
            "such as an outlier's"
        )
    elif layer.channel_spread >= _WIDE:
        text += f", and one scale serves channels whose ranges differ {layer.channel_spread:,.0f}-fold"
    return text


def _weights(finding: Finding) -> str:
    weights = finding.layer.weights
    assert weights is not None, "weights are blamed only where they were compared"
    text = f"weights: rounding them to {weights.dtype} leaves {decibels(weights.snr_db)} dB"
    if not weights.per_channel and weights.channel_spread >= _WIDE:
        text += f", as one scale serves channels whose ranges differ {weights.channel_spread:,.0f}-fold"
    return text


def _channels(finding: Finding) -> str:
    layer = finding.layer
    return (
        f"resolution: one scale serves channels whose ranges differ {layer.channel_spread:,.0f}-fold, which leaves "
        f"{_share(layer.weak_channels)} of them below 10 dB, as shows in {finding.seen_in} after it"
    )


def _inputs(finding: Finding) -> str:
    rounded = [
        name
        for name, there in (("weights", finding.layer.weights), ("values", finding.layer.grid_snr_db))
        if there is not None
    ]
    if not rounded:
        return "none of its own values or weights was compared in integers, so the noise comes with what it takes in"
    return (
        f"rounding its {' and '.join(rounded)} explains less than half of it: it amplifies the noise of what it takes "
        "in, or rounds that inside"
    )


CAUSES: dict[Cause, Callable[[Finding], str]] = {
    "saturation": _saturation,
    "resolution": _resolution,
    "weights": _weights,
    "channels": _channels,
    "inputs": _inputs,
}


def _on_speed(evidence: Evidence) -> Iterator[str]:
    pace = evidence.pace
    figures = f"{pace.quantized_ns / 1000:,.0f} µs an image against {pace.reference_ns / 1000:,.0f} µs, one thread"
    if pace.ratio < 1 - _SAME:
        yield f"{evidence.quantized} is faster than {evidence.reference} here, {1 / pace.ratio:.2f} times ({figures})."
    elif pace.ratio <= 1 + _SAME:
        yield f"{evidence.quantized} is as fast as {evidence.reference} here ({figures})."
    else:
        yield f"{evidence.quantized} is slower than {evidence.reference} here, {pace.ratio:.2f} times ({figures})."
        reasons = list(_brakes(evidence))
        yield from reasons or ["Nothing that is known to slow integer models down was found in the file or measured."]


def _brakes(evidence: Evidence) -> Iterator[str]:
    """What is known to slow integer models down, where it is there."""
    facts, (reference, quantized) = evidence.facts, evidence.engines
    if facts.dtypes.get("int16"):
        yield f"Its activations are int16 ({facts.dtypes['int16']} tensors), for which LiteRT has reference kernels."
    if reference.provider != quantized.provider:
        yield f"It runs on {quantized.provider}, the float model on {reference.provider}."
    if in_float := [op for op in facts.float_ops if not op.hybrid]:
        yield f"Operations that the file leaves in float: {_listed(op.kind for op in in_float)}."
    if hybrid := [op for op in facts.float_ops if op.hybrid]:
        yield f"Operations that quantize their input anew at each call: {_listed(op.kind for op in hybrid)}."
    if facts.format == "tflite" and facts.quantize_ops + facts.dequantize_ops:
        yield f"Conversions between float and integers: {facts.quantize_ops + facts.dequantize_ops}."
    yield from _profiled(evidence)
    if facts.narrow_convolutions:
        yield (
            f"{facts.narrow_convolutions} of {facts.convolutions} convolutions have fewer than {NARROW} output "
            f"channels; int8 kernels compute up to {NARROW} side by side."
        )
    if evidence.cpu_features and not set(DOT_PRODUCT_FEATURES) & set(evidence.cpu_features):
        yield f"This processor has no int8 dot product (none of {', '.join(DOT_PRODUCT_FEATURES)})."


def _profiled(evidence: Evidence) -> Iterator[str]:
    if not evidence.profile:
        return
    conversions = [op for op in evidence.profile if op.kind in ("QuantizeLinear", "DequantizeLinear", "Cast")]
    if (share := sum(op.share for op in conversions)) >= _SHOWS:
        nodes = ", ".join(f"{op.nodes} {op.kind}" for op in conversions)
        yield f"{_share(share)} of its time goes into conversions that ONNX Runtime did not fuse away: {nodes}."
    longest = ", ".join(f"{_share(op.share)} in {op.nodes} {op.kind}" for op in evidence.profile[:3])
    yield f"Where ONNX Runtime spends its time: {longest}."
    in_float = [op for op in evidence.profile if op.kind in ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul")]
    if (share := sum(op.share for op in in_float)) >= _SHOWS and evidence.facts.qdq_pairs:
        nodes = ", ".join(f"{op.nodes} {op.kind}" for op in in_float)
        yield f"{_share(share)} of its time goes into layers that ONNX Runtime computes in float all the same: {nodes}."


def title(finding: Finding) -> str:
    """Words for a layer and its operations."""
    layer = finding.layer
    return layer.layer if layer.op == "input" else f"{layer.layer} ({layer.op})"


def decibels(value: float | None) -> str:
    """Words for a signal-to-noise ratio: "exact" where there is no noise, and nothing where there is no ratio."""
    if value is None:
        return ""
    return "exact" if value == math.inf else f"{round(value, 1) + 0.0:.1f}"  # no "-0.0"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"


def _listed(kinds: Iterator[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).most_common())
