"""On what, on which machine and how a report was measured, in words."""

from __future__ import annotations

from ..conditions import Conditions
from ..results import BundleInfo, Device, Report
from .columns import number
from .phrases import clean, plural


def bundle_facts(report: Report) -> list[tuple[str, str]]:
    """Returns each bundle's name, and what it was asked."""
    return [(clean(bundle.name), _bundle_text(report, bundle)) for bundle in report.bundles]


def _bundle_text(report: Report, bundle: BundleInfo) -> str:
    names = {report.reference(device.name, bundle.name) for device in report.devices}
    reference = ", ".join(sorted(clean(name) for name in names if name)) or "none"
    if bundle.images:
        asked = f"{plural(bundle.images, 'test image')} of {clean(bundle.data or 'unnamed data')}"
    else:
        agreements = [row.measurement.agreement for row in report.rows if row.bundle == bundle.name and row.measurement]
        found = next((agreement for agreement in agreements if agreement is not None), None)
        asked = f"{plural(found.items, 'input')}, {clean(found.source)}" if found else "no input compared"
    return "; ".join((clean(bundle.path), asked, f"reference {reference}", *map(clean, bundle.notes)))


def device_facts(report: Report, device: Device) -> list[tuple[str, str]]:
    """Returns what a device is and how it was measured there: pairs of a name and a text."""
    machine, how = device.environment, device.settings
    measured = [row.measurement for row in report.rows if row.device == device.name and row.measurement]
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items() if version)
    names = " · ".join(dict.fromkeys(filter(None, (machine.board, machine.cpu))))
    facts = [
        (
            "machine",
            f"{names}, {machine.architecture}, {plural(machine.usable_cores, 'usable core')}, "
            f"{machine.memory_bytes / 1e9:.1f} GB memory",
        ),
        ("CPU features", " ".join(machine.cpu_features) or "unknown"),
        ("software", f"{machine.system}, Python {machine.python}, {packages}"),
        ("latency", _latency_method(device)),
        ("memory", f"a process with no variant loaded takes {device.base_memory_bytes / 1e6:.1f} MB"),
        ("before", _conditions(device.before)),
        ("after", _conditions(device.after)),
    ]
    if batches := {entry.batch for found in measured for entry in found.throughput}:
        facts.append(("throughput", f"batches of {plural(max(batches), 'image')}"))
    if altered := [entry.accuracy.images for found in measured if found.answers for entry in found.answers.robustness]:
        facts.append(("robustness", f"altered copies of {plural(max(altered), 'test image')}, seed {how.seed}"))
    if device.roofline is not None:
        facts.append(("roofline", _roofline(device)))
    return [(name, clean(text)) for name, text in facts] + [("measured", clean(device.created))]


def _latency_method(device: Device) -> str:
    how = device.settings
    until = f"{how.duration_s:g} s of rounds" if how.duration_s is not None else plural(how.runs or 0, "inference")
    pinned = f"pinned to core {how.core}" if how.core is not None else "not pinned to a core"
    return (
        f"one inference of {plural(how.batch, 'image')}, {plural(how.threads, 'thread')}; each variant in "
        f"{plural(how.launches, 'process')} one after the other, {pinned}; {until}, in which the variants take turns "
        f"in random order, seed {how.seed}"
    )


def _conditions(state: Conditions) -> str:
    known = [
        f"governor {state.governor}" if state.governor is not None else None,
        f"{state.frequency_mhz:,.0f} MHz" if state.frequency_mhz is not None else None,
        f"{state.temperature_c:.1f} °C" if state.temperature_c is not None else None,
        f"slowed from {state.limit_c:.0f} °C on" if state.limit_c is not None else None,
        (", ".join(state.throttling) or "not throttled") if state.throttling is not None else None,
        f"load {state.load:.2f}" if state.load is not None else None,
    ]
    return ", ".join(text for text in known if text) or "unknown"


def _roofline(device: Device) -> str:
    assert device.roofline is not None
    peaks = [
        f"{number(peak.macs_per_second / 1e9)} billion multiply-accumulates a second in {peak.compute} ({peak.engine})"
        for peak in device.roofline.peaks
    ]
    reads = [
        f"{number(entry.bytes_per_second / 1e9)} GB/s from {_binary(entry.working_set_bytes)}"
        for entry in device.roofline.bandwidths
    ]
    return "; ".join([*peaks, *([f"reads {', '.join(reads)}"] if reads else [])])


def _binary(size: int) -> str:
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"
