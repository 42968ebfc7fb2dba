"""Gates for continuous integration: limits that a benchmark must keep, judged on intervals and not on points.

A gate names what must not be: `accuracy_drop>0.1`, `latency_ratio>1.05`, `tflite-int8:size>200kB`. It is not met where
the whole 95 % interval lies beyond its bound, so a variant right at the bound fails once in 40 times; where only the
figure itself does, it is met and its text says that this is not certain. What cannot be judged counts as not met.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import ge, gt, le, lt

from liteport.errors import InvalidInputError, unknown_name

from ..latency import Interval
from ..results import Report
from .gate_cases import Case, NoFigureError, find_cases
from .gate_figures import METRICS, Metric

_GATE = re.compile(r"(?:(?P<variant>.+):)?\s*(?P<metric>\w+)\s*(?P<operator>[<>]=?)\s*(?P<bound>[^<>=]+)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


class Outcome(str, Enum):
    """What became of a gate."""

    MET = "met"
    NOT_MET = "not met"
    NOT_JUDGED = "cannot be judged"


@dataclass(frozen=True)
class Gate:
    """What must not be.

    Attributes:
        metric: A name of `METRICS`.
        operator: ">" or ">=", for accuracy "<" or "<=".
        bound: In the metric's unit.
        variant: The only one that is judged; None for all.
        text: As it was given.
    """

    metric: str
    operator: str
    bound: float
    variant: str | None
    text: str

    @property
    def rule(self) -> str:
        """The text without the variant."""
        return self.text.removeprefix(f"{self.variant}:").strip()


@dataclass(frozen=True)
class Verdict:
    """What became of a gate for one variant on one device.

    Attributes:
        gate: The gate.
        subject: The variant; with its bundle, device and board where there are several.
        outcome: Met, not met, or not judged, which counts as not met.
        figure: What was judged, in the metric's unit; None where there is none.
        interval: Its interval; None where it has none.
        text: All this in a line.
    """

    gate: Gate
    subject: str
    outcome: Outcome
    figure: float | None
    interval: Interval | None
    text: str

    @property
    def met(self) -> bool:
        """Whether it is met; what cannot be judged is not."""
        return self.outcome is Outcome.MET


def parse_gate(text: str) -> Gate:
    """Reads a gate such as "latency_ratio>1.05" or "tflite-int8:size>200kB".

    Raises:
        InvalidInputError: If it is no gate, its metric is unknown, or its bound would never or always be crossed.
    """
    match = _GATE.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"the gate is {text!r}; expected [VARIANT:]METRIC>BOUND, such as latency_ratio>1.05")
    name, operator = match["metric"], match["operator"]
    if name not in METRICS:
        raise unknown_name("gate", name, METRICS)
    metric = METRICS[name]
    bound = metric.kind.parse(match["bound"], f"the bound of {name}")
    if operator[0] != metric.worse:
        raise InvalidInputError(
            f"the gate {text!r} would stop what is good; a gate names what must not be, such as "
            f"{name}{metric.worse}{match['bound']}"
        )
    if not metric.least <= bound <= metric.most:
        raise InvalidInputError(
            f"the bound of {name} is {bound:g}; expected {metric.least:g} to {metric.most:g}, in {metric.kind.name}"
        )
    return Gate(name, operator, bound, match["variant"], text.strip())


def judge(report: Report, baseline: Report | None, gates: Sequence[Gate], *, seed: int = 0) -> list[Verdict]:
    """Judges a report.

    With a baseline, `accuracy_drop` and the ratios compare each variant with itself there; without one, with the
    reference of the same report, which is then not judged unless a gate names it. Every gate has a verdict or more:

    - A variant that the baseline has and the report lacks is not met by gates that compare.
    - One that only the report has, or that failed in the baseline, has nothing to be compared with, and is met.
    - One that failed, or lacks a figure that the gate is about (or whose baseline lacks it), cannot be judged.

    Args:
        report: What was measured.
        baseline: An earlier report; None to compare with the reference.
        gates: From `parse_gate`.
        seed: Of the resamples that intervals come from.

    Raises:
        MissingDependencyError: If SciPy is not installed.
    """
    return [verdict for gate in gates for verdict in _verdicts(gate, find_cases(report, baseline), seed)]


def _verdicts(gate: Gate, cases: Sequence[Case], seed: int) -> Iterator[Verdict]:
    metric = METRICS[gate.metric]
    asked = [case for case in cases if gate.variant in (None, case.variant) and _is_asked(gate, metric, case)]
    for case in asked:
        for entry in case.by_board() if metric.by_board else [case]:
            yield _verdict(gate, metric, entry, seed)
    if not asked:
        names = ", ".join(dict.fromkeys(case.variant for case in cases if case.now))
        reason = "the report has no such variant" if gate.variant else "there is nothing to compare with the reference"
        subject = gate.variant or "the report"
        text = f"{subject}: {gate.rule} {Outcome.NOT_JUDGED.value}: {reason}; it has {names}"
        yield Verdict(gate, subject, Outcome.NOT_JUDGED, None, None, text)


def _is_asked(gate: Gate, metric: Metric, case: Case) -> bool:
    if case.now is None:  # only the baseline has it
        return metric.compares
    return gate.variant is not None or case.has_baseline or not (metric.compares and case.now.is_reference)


def _verdict(gate: Gate, metric: Metric, case: Case, seed: int) -> Verdict:
    start = f"{case.subject}: {gate.rule}"
    try:
        found = metric.find(case, seed)
    except NoFigureError as missing:
        outcome = Outcome.MET if missing.new else Outcome.NOT_JUDGED
        return Verdict(gate, case.subject, outcome, None, None, f"{start} {outcome.value}: {missing}")
    beyond = _OPERATORS[gate.operator]
    interval = found.interval or Interval(found.value, found.value)
    broken = beyond(interval.low if metric.worse == ">" else interval.high, gate.bound)
    outcome = Outcome.NOT_MET if broken else Outcome.MET
    figure, low, high, _ = metric.kind.format_apart(found.value, interval.low, interval.high, gate.bound)
    parts = [
        f"{gate.metric} is {figure}",
        f" ({low} to {high})" if found.interval else "",
        ", beyond the bound but not certain" if not broken and beyond(found.value, gate.bound) else "",
        f"; {found.note}" if found.note else "",
    ]
    return Verdict(
        gate, case.subject, outcome, found.value, found.interval, f"{start} {outcome.value}: {''.join(parts)}"
    )
