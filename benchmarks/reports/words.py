"""A report in sentences: what it found, what to beware of, and how it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from .. import conditions
from ..results import BundleInfo, Control, Device, Measurement, Report, Row
from .answer_columns import DIFFERENCE, P_VALUE
from .columns import ratio
from .cost_columns import LATENCY, RATIO, SIZE
from .method import bundle_facts, device_facts
from .phrases import clean, place, plural

_CERTAIN = 0.05  # below this p-value a loss of accuracy counts as one, as is usual


@dataclass(frozen=True)
class Notice:
    """A sentence, and whether it is a warning."""

    text: str
    warning: bool


def title(report: Report) -> str:
    """Returns the report's title."""
    return f"Benchmark of {', '.join(clean(bundle.name) for bundle in report.bundles)}"


def headlines(report: Report) -> list[str]:
    """Returns a sentence for each bundle on each device: which variant is the fastest, and at what price."""
    found = []
    for device in report.devices:
        for bundle in report.bundles:
            rows = [row for row in report.rows if (row.device, row.bundle) == (device.name, bundle.name)]
            measured = [(row.measurement, row) for row in rows if row.measurement]
            if measured:
                measured.sort(key=lambda pair: pair[0].latency.percentiles.p50_ns)
                found.append(_headline(report, device, bundle, len(rows), measured))
    return found


def _headline(
    report: Report, device: Device, bundle: BundleInfo, count: int, measured: list[tuple[Measurement, Row]]
) -> str:
    reference = report.reference(device.name, bundle.name)
    where = place(report, device.name, bundle.name)
    start = f"{where}: of" if where else "Of"
    (found, row), others = measured[0], measured[1:]
    if not others:
        return f"{f'{where}: ' if where else ''}{_priced(row, reference, leading=False)}"
    text = f"{start} {plural(count, 'variant')}, {_priced(row, reference)}"
    alike = [other.variant for measurement, other in others if _overlap(measurement, found)]
    if alike:
        text += f" Not told apart from it in speed: {', '.join(map(clean, alike))}."
    if _loses(found):
        safe = next((other for measurement, other in others if not _loses(measurement)), None)
        if safe is not None:
            text += f" The fastest without a certain loss of accuracy is {_priced(safe, reference, leading=False)}"
    return text


def _overlap(one: Measurement, other: Measurement) -> bool:
    """Tells whether the intervals of two ratios to the same reference have a value in common."""
    first, second = one.latency.ratio_interval, other.latency.ratio_interval
    return first.low <= second.high and second.low <= first.high


def _loses(measurement: Measurement) -> bool:
    answers = measurement.answers
    return answers is not None and answers.accuracy.difference_points < 0 and answers.accuracy.p_value < _CERTAIN


def _p(row: Row) -> str:
    text = P_VALUE.cell(row)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def _priced(row: Row, reference: str | None, *, leading: bool = True) -> str:
    """Returns a variant with its figures, up to the full stop."""
    figures = [f"{LATENCY.cell(row)} µs an inference"]
    interval = RATIO.interval_of(row)
    if reference is not None and row.variant != reference and interval is not None:
        ends = f"{ratio(interval.low)} to {ratio(interval.high)}"
        figures[0] += f", {RATIO.cell(row)} times {clean(reference)}'s ({ends})"
        if row.measurement and row.measurement.answers:
            figures.append(f"accuracy {DIFFERENCE.cell(row)} points ({_p(row)})")
    figures.append(f"{SIZE.cell(row)} kB")
    return f"{clean(row.variant)}{' is the fastest' if leading else ''}: {'; '.join(figures)}."


def controls(report: Report) -> list[Notice]:
    """Returns what each A/A control says of its machine, whether differences can be believed, and of its state."""
    found = []
    for device in report.devices:
        found += [_control(control, place(report, device.name, control.bundle)) for control in device.controls]
        start = f"{clean(device.name)}: " if len(report.devices) > 1 else ""
        sentences = conditions.remarks(device.before, device.after, device.environment.usable_cores)
        found += [Notice(f"{start}{clean(sentence)}.", warning=True) for sentence in sentences]
    return found


def _control(control: Control, where: str) -> Notice:
    start = f"{where}: " if where else ""
    if control.ratio is None or control.interval is None:
        text = "the A/A control could not be timed, so nothing tells whether the machine was quiet."
        return Notice(f"{start}{text}", warning=True)
    found = (
        f"{clean(control.variant)} timed against itself (A/A) gave {control.ratio:.3f} "
        f"({control.interval.low:.3f} to {control.interval.high:.3f})"
    )
    if control.quiet:
        return Notice(f"{start}the machine was quiet: {found}, within ±{100 * control.bound:g} %.", warning=False)
    reason = (
        f"which is wider than ±{100 * control.bound:g} %"
        if control.interval.low <= 1 <= control.interval.high
        else "which leaves out 1"
    )
    advice = "Differences of this size mean nothing here; close other programs and measure again, for longer."
    return Notice(f"{start}the machine was too noisy: {found}, {reason}. {advice}", warning=True)


def remarks(report: Report) -> list[str]:
    """Returns a line for each thing that a reader of the tables must know of variants, with all that it holds for."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in report.rows:
        for text in _row_remarks(report, row):
            lines.setdefault((place(report, row.device, row.bundle), text), []).append(clean(row.variant))
    return [f"{f'{where}: ' if where else ''}{', '.join(names)}: {text}" for (where, text), names in lines.items()]


def _row_remarks(report: Report, row: Row) -> list[str]:
    found = []
    if row.measurement is None:
        found.append(f"not measured: {clean(row.failure or 'no reason is given')}")
    else:
        latency, answers = row.measurement.latency, row.measurement.answers
        if not latency.steady:
            found.append(f"still not steady after {plural(latency.warm_up_runs, 'warm-up run')}")
        images = next((bundle.images for bundle in report.bundles if bundle.name == row.bundle), 0)
        if answers is not None and answers.accuracy.images < images:
            found.append(f"accuracy from {answers.accuracy.images:,} of {images:,} test images")
    found += (
        f"did not run on an emulated {clean(count.board)}: {clean(count.failure)}"
        for count in row.instructions
        if count.failure is not None
    )
    return found


def limits(report: Report) -> list[str]:
    """Returns a line for each variant that stays far below its machine's limit: why."""
    return [
        f"{_full_name(report, row)} reaches {100 * row.measurement.limit.share:.2g} % of the roofline: "
        f"{clean(row.measurement.limit.reason)}"
        for row in report.rows
        if row.measurement and row.measurement.limit and row.measurement.limit.reason
    ]


def _full_name(report: Report, row: Row) -> str:
    where = place(report, row.device, row.bundle)
    return f"{where}: {clean(row.variant)}" if where else clean(row.variant)


def describe(report: Report) -> list[str]:
    """Returns lines that say on what, on which machine and how it was measured."""
    lines = [f"{name}: {text}" for name, text in bundle_facts(report)]
    for device in report.devices:
        start = f"{clean(device.name)}, " if len(report.devices) > 1 else ""
        lines += (f"{start}{name}: {text}" for name, text in device_facts(report, device))
    return lines
