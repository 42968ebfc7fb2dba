"""How near a variant comes to the roofline, and why it stays far below it."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..inspecting.file_facts import NARROW, FileFacts, read_facts
from ..results import Engine, LayerCost, Limit, Roofline
from .winograd import GAINS

LOW_SHARE = 0.2  # a variant below it gets a reason
# Types without a peak of their own, by the one whose peak they can reach at most. No engine here has fast kernels for
# int16, so none was measured: hardware multiplies it no faster than int8. Float of other sizes is computed in float32.
_AT_MOST = {"int16": "int8", "float16": "float32", "bfloat16": "float32", "float64": "float32"}
# With these, float16 is multiplied by itself, twice as many in a register as float32.
_HALF_FLOAT_FEATURES = frozenset(("asimdhp", "avx512_fp16"))
# What it costs to call one operation, in multiplications of float32 at the peak, so that it goes with the processor:
# engines took 0.2 to 1.2 µs for one here where that many are 2.3 µs.
_CALL_MACS = 1 << 17
_AROUND = 6  # operations that cost about what prediction and engine do around them: 5 to 15 µs on x86-64
_MANY = 1 / 3  # of all operations that multiply, from where on their kind counts as a reason
_FULL_RATE = 0.5  # of the best rate of reading: sets that are read more slowly do not fit the fast caches
_NO_DELEGATE = "built-in kernels"
_DEPTHWISE = "DEPTHWISE"
_SOME = 0.1  # of all operations or multiplications, from where on those left to other kernels or types count as one
_LISTED = _CLAUSES = 3


@dataclass(frozen=True)
class _Floor:
    """The least time that one layer takes, and what it goes into, in nanoseconds."""

    compute_ns: float
    memory_ns: float

    @property
    def ns(self) -> float:
        return max(self.compute_ns, self.memory_ns)


@dataclass(frozen=True)
class _Case:
    """All that is known of a variant that stays below its limit; see `find_limit`."""

    layers: Sequence[LayerCost]
    facts: FileFacts
    roofline: Roofline
    floor_ns: float
    p50_ns: float
    batch: int
    engine: Engine
    left: Mapping[str, int]

    @property
    def multiplying(self) -> list[LayerCost]:
        return [layer for layer in self.layers if layer.macs]


def find_limit(
    content: bytes,
    suffix: str,
    layers: Sequence[LayerCost],
    roofline: Roofline,
    p50_ns: float,
    batch: int,
    engine: Engine,
    cpu_features: Sequence[str] = (),
    left: Mapping[str, int] | None = None,
) -> Limit | None:
    """Compares a variant's latency with the least time that the roofline allows for.

    That time is the sum over all layers that multiply of the longer of computing, `MACs / peak`, and reading:
    constants at the rate for as many bytes as the whole file goes through, values at the rate for as many as the layer
    does. Layers that multiply nothing count for nothing, since an engine may do them on the way.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".
        layers: Its costs, for one item.
        roofline: What the machine can do at most, with as many threads.
        p50_ns: The median latency of one inference.
        batch: How many items that is of.
        engine: What ran it.
        cpu_features: Of the processor; they tell whether float16 may be computed faster than float32.
        left: What a TFLite delegate left to built-in kernels, by kind; see `delegation.left_to_built_in_kernels`.

    Returns:
        The limit; None where the costs are not known, nothing multiplies, or no peak was measured for it.

    Raises:
        InvalidInputError: If the suffix is another.
        IntegrityError: If the file is damaged.
    """
    floors = _floors(layers, roofline, batch, cpu_features)
    if not floors:
        return None
    floor_ns = sum(floor.ns for floor in floors)
    computing = sum(floor.ns for floor in floors if floor.compute_ns >= floor.memory_ns)
    share = floor_ns / p50_ns
    reason = None
    if share < LOW_SHARE:
        case = _Case(layers, read_facts(content, suffix), roofline, floor_ns, p50_ns, batch, engine, left or {})
        found = "; ".join(list(_brakes(case))[:_CLAUSES]) or "nothing that is known to slow a model down was found"
        reason = f"{found[0].upper()}{found[1:]}."
    return Limit(floor_ns, share, "compute" if computing >= floor_ns / 2 else "memory", reason)


def working_set(layers: Sequence[LayerCost], batch: int) -> int:
    """Returns how many bytes one inference goes through at least: all constants, and the values of one layer."""
    constants = sum(layer.constant_bytes for layer in layers)
    return constants + batch * max((layer.activation_bytes for layer in layers), default=0)


def reading_rate(roofline: Roofline, size_bytes: int) -> float:
    """Returns bytes per second where so many are read again and again, between measured sizes by their logarithms."""
    sizes = [math.log(point.working_set_bytes) for point in roofline.bandwidths]
    rates = [point.bytes_per_second for point in roofline.bandwidths]
    return float(np.interp(math.log(max(size_bytes, 1)), sizes, rates))


def _floors(
    layers: Sequence[LayerCost], roofline: Roofline, batch: int, cpu_features: Sequence[str]
) -> list[_Floor] | None:
    peaks = {peak.compute: peak.macs_per_second for peak in roofline.peaks}
    for compute, at_most in _AT_MOST.items():
        if at_most in peaks:
            peaks.setdefault(compute, peaks[at_most])
    if "float16" in peaks and not _HALF_FLOAT_FEATURES.isdisjoint(cpu_features):
        peaks["float16"] *= 2
    peaks |= {f"{kind}{end}": gain * peak for kind, peak in peaks.items() for end, gain in GAINS.items()}
    multiplying = [layer for layer in layers if layer.macs]
    if not roofline.bandwidths or any(layer.compute not in peaks for layer in multiplying):
        return None
    rate = reading_rate(roofline, working_set(layers, batch))
    floors = []
    for layer in multiplying:
        values = batch * layer.activation_bytes
        seconds = layer.constant_bytes / rate + values / reading_rate(roofline, values)
        floors.append(_Floor(1e9 * batch * layer.macs / peaks[layer.compute], 1e9 * seconds))
    return floors


def _brakes(case: _Case) -> Iterator[str]:
    """What is known to keep models from a machine's limit, where it is there; the heaviest first."""
    for evidence in (_kernels, _left_out, _small, _narrow, _depthwise, _converted, _uncached):
        yield from evidence(case)


def _kernels(case: _Case) -> Iterator[str]:
    if case.engine.provider == _NO_DELEGATE:
        wide = sum(layer.compute == "int16" for layer in case.multiplying)
        if wide:
            yield (
                f"{wide} of {len(case.multiplying)} operations that multiply do so in int16, for which "
                f"{case.engine.name} has reference kernels alone"
            )
        else:
            yield f"it runs on {case.engine.name}'s built-in kernels, without XNNPACK"


def _left_out(case: _Case) -> Iterator[str]:
    kinds = {layer.kind for layer in case.multiplying}
    left = sum(case.left.values())
    if left >= _SOME * len(case.layers) or not kinds.isdisjoint(case.left):
        listed = _listed(dict(sorted(case.left.items(), key=lambda entry: entry[0] not in kinds)))
        yield f"{case.engine.provider} leaves {left} operations to built-in kernels: {listed}"


def _small(case: _Case) -> Iterator[str]:
    count = len(case.layers)
    peak = max((peak.macs_per_second for peak in case.roofline.peaks if peak.compute == "float32"), default=math.inf)
    call_ns = 1e9 * _CALL_MACS / peak
    if case.p50_ns < (count + _AROUND) * call_ns and case.floor_ns < case.p50_ns / 2:
        yield (
            f"its {count} operations and the call around them take {case.p50_ns / 1000:.1f} µs for "
            f"{case.floor_ns / 1000:.2f} µs of work: calling costs more than what is computed"
        )


def _narrow(case: _Case) -> Iterator[str]:
    facts = case.facts
    if facts.narrow_convolutions > _MANY * facts.convolutions:
        yield (
            f"{facts.narrow_convolutions} of {facts.convolutions} convolutions have fewer than {NARROW} output "
            "channels, too few to fill the registers of fast kernels"
        )


def _depthwise(case: _Case) -> Iterator[str]:
    apart = sum(_DEPTHWISE in layer.kind.upper() for layer in case.multiplying)
    if apart > _MANY * len(case.multiplying):
        yield (
            f"{apart} of {len(case.multiplying)} operations that multiply are depthwise: each channel apart, which is "
            "no matrix product"
        )


def _converted(case: _Case) -> Iterator[str]:
    hybrid = sum(op.hybrid for op in case.facts.float_ops)
    if hybrid:
        yield f"{hybrid} operations quantize their input anew at each call"
    in_float = Counter(op.kind for op in case.facts.float_ops if not op.hybrid)
    macs = sum(layer.macs for layer in case.multiplying if layer.compute == "float32")
    if in_float and max(in_float.total() / len(case.layers), macs / sum(layer.macs for layer in case.layers)) >= _SOME:
        yield f"{in_float.total()} operations are left in float: {_listed(dict(in_float.most_common()))}"


def _uncached(case: _Case) -> Iterator[str]:
    size = working_set(case.layers, case.batch)
    best = max(point.bytes_per_second for point in case.roofline.bandwidths)
    rate = reading_rate(case.roofline, size)
    if rate < _FULL_RATE * best:
        yield (
            f"it goes through {size / 1e6:.1f} MB, beyond the caches: the machine reads so much at "
            f"{rate / 1e9:.1f} GB/s, {100 * rate / best:.3g} % of its best"
        )


def _listed(counts: Mapping[str, int]) -> str:
    """Lists the first kinds."""
    listed = [f"{count} {kind}" for kind, count in counts.items()]
    return ", ".join([*listed[:_LISTED], *(["…"] if len(listed) > _LISTED else [])])
