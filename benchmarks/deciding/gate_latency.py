"""The latencies that gates judge: what a machine is today must not be taken for what a variant has become."""

from math import exp, hypot, log

from ..latency import Interval, Launches, Ratio, ratio_of_unpaired
from .gate_cases import Case, Figure, NoFigureError, Side

MAX_DRIFT = 1.25
"""How many times faster or slower a machine may have become for its latencies to be compared all the same."""


def latency(case: Case, seed: int) -> Figure:
    """Returns the p50 in nanoseconds."""
    launches = case.current.measurement.latency.samples_ns
    # As a ratio to a clock that ticks once a nanosecond, whose launches and rounds are all alike.
    ticks = [[[1] for _ in rounds] for rounds in launches]
    found = _ratio(launches, ticks, seed)
    return Figure(found.value, found.interval)


def latency_ratio(case: Case, seed: int) -> Figure:
    """Returns how many times the latency it takes of the reference, or of itself in the baseline.

    Between two runs the machine drifts. Where the reference is the same file in the same engine in both, it tells by
    how much, and what is judged is the variant's ratio to it now over that in the baseline: each is paired within its
    run, and their errors add up as variances of logarithms. The reference itself then says nothing but the drift. So a
    slowdown that hits the reference as much goes unseen up to `MAX_DRIFT`; beyond, nothing is judged.
    """
    now, latency = case.current, case.current.measurement.latency
    other, earlier = case.other, case.other.measurement.latency
    if not case.has_baseline:
        if now.is_reference:
            return Figure(1.0, None, "it is the reference")
        return Figure(latency.ratio, latency.ratio_interval)
    _check_same_machine(now, other)
    change = _change_of_reference(now, other)
    if change:
        found = _ratio(latency.samples_ns, earlier.samples_ns, seed)
        return Figure(found.value, found.interval, f"the machine's drift is not known, since the reference {change}")
    drift = _drift(now, other)
    if not 1 / MAX_DRIFT <= drift <= MAX_DRIFT:
        raise NoFigureError(
            f"the machine's drift is too large: the reference, the same file, takes {drift:.2f} times its time"
        )
    note = f"the machine's drift of {drift:.2f} is divided out"
    if now.is_reference:
        return Figure(1.0, None, f"the same file in the same engine; {note}")
    value = latency.ratio / earlier.ratio
    half = hypot(*(log(entry.ratio_interval.high / entry.ratio_interval.low) / 2 for entry in (latency, earlier)))
    return Figure(value, Interval(value * exp(-half), value * exp(half)), note)


def _ratio(launches: Launches, others: Launches, seed: int) -> Ratio:
    if min(sum(map(len, launches)), sum(map(len, others))) < 2:
        raise NoFigureError(
            "it was timed in a single round, which says nothing of the error; raise --runs or --duration"
        )
    return ratio_of_unpaired(launches, others, seed=seed)


def _check_same_machine(now: Side, before: Side) -> None:
    """Refuses latencies that were taken under other conditions.

    Raises:
        NoFigureError: If processor, threads or batch differ.
    """
    for name, ours, theirs in (
        ("processor", now.device.environment.cpu, before.device.environment.cpu),
        ("board", now.device.environment.board, before.device.environment.board),
        ("number of threads", now.device.settings.threads, before.device.settings.threads),
        ("batch", now.device.settings.batch, before.device.settings.batch),
    ):
        if ours != theirs:
            raise NoFigureError(f"the baseline is of another {name}: {theirs}, here {ours}")


def _change_of_reference(now: Side, before: Side) -> str:
    """Returns why the two runs' references do not tell the machine's drift; empty where they do."""
    ours, theirs = now.reference, before.reference
    if ours is None or theirs is None or ours.measurement is None or theirs.measurement is None:
        return "was not measured in both"
    if ours.sha256 != theirs.sha256:
        return "is another file"
    return "ran in another engine" if ours.measurement.engine != theirs.measurement.engine else ""


def _drift(now: Side, before: Side) -> float:
    """Returns how many times its earlier p50 the reference takes now."""
    p50s = [
        side.reference.measurement.latency.percentiles.p50_ns
        for side in (now, before)
        if side.reference and side.reference.measurement
    ]
    return p50s[0] / p50s[1]
