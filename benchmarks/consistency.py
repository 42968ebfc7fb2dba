"""What cannot be true of a report that was measured: how an edited or damaged one is known."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain
from math import isclose

from .accuracy import Accuracy
from .latency import Interval, summarize
from .results import Answers, BundleInfo, Device, InstructionCount, Latency, Report, Row

_ROUNDING = 1e-6  # between what was computed and what is computed anew, relative or in percentage points
_LONGEST_NS = 86_400 * 10**9  # a day
_SHA256 = re.compile("[0-9a-f]{64}")


def faults(report: Report) -> Iterator[str]:
    """Yields each contradiction of a report as part of a sentence.

    Names must be unique and stand for something; figures that follow from others must do so: percentiles from the
    samples, accuracy from its counts.
    """
    bundles = {bundle.name: bundle for bundle in report.bundles}
    yield from _repeated("device", (device.name for device in report.devices))
    yield from _repeated("bundle", (bundle.name for bundle in report.bundles))
    yield from _repeated("row", ((row.device, row.bundle, row.variant) for row in report.rows))
    if not report.rows:
        yield "it has no rows"
    for device in report.devices:
        yield from _device_faults(device, report)
    for row in report.rows:
        if row.bundle not in bundles:
            yield f"a row names the bundle {row.bundle!r}, which is not described"
        elif row.device not in {device.name for device in report.devices}:
            yield f"a row names the device {row.device!r}, which is not described"
        else:
            yield from (f"{row.variant} on {row.device}: {fault}" for fault in _row_faults(row, bundles[row.bundle]))


def _repeated(kind: str, names: Iterable[Hashable]) -> Iterator[str]:
    yield from (f"the {kind} {name!r} stands there twice" for name, count in Counter(names).items() if count > 1)


def _device_faults(device: Device, report: Report) -> Iterator[str]:
    yield from _repeated("control of", (control.bundle for control in device.controls))
    for control in device.controls:
        key = device.name, control.bundle, control.variant
        row = next((row for row in report.rows if (row.device, row.bundle, row.variant) == key), None)
        if row is None or row.measurement is None:
            yield f"the reference {control.variant} of {control.bundle} was not measured on {device.name}"


def _row_faults(row: Row, bundle: BundleInfo) -> Iterator[str]:
    if (row.measurement is None) == (row.failure is None):
        yield "it has both figures and a failure, or neither"
    if not _SHA256.fullmatch(row.sha256):
        yield f"its SHA-256 is {row.sha256!r:.80}"
    if min(row.size_bytes, row.compressed_bytes) < 0:
        yield "its size is negative"
    yield from _repeated("count for", (count.board for count in row.instructions))
    yield from chain.from_iterable(map(_count_faults, row.instructions))
    if row.measurement:
        yield from _latency_faults(row.measurement.latency)
        if row.measurement.memory.peak_bytes <= 0:
            yield "its memory is not above 0"
        if row.measurement.answers:
            yield from _answer_faults(row.measurement.answers, bundle)


def _count_faults(count: InstructionCount) -> Iterator[str]:
    if len({count.instructions is None, count.spread is None, count.failure is not None}) > 1:
        yield f"its count for {count.board} has both instructions and a failure, or neither"
    elif count.instructions is not None and not (count.instructions > 0 and 0 <= (count.spread or 0) < 1):
        yield f"its count for {count.board} is {count.instructions} with a spread of {count.spread}"


def _latency_faults(latency: Latency) -> Iterator[str]:
    rounds = [turn for launch in latency.samples_ns for turn in launch]
    if not rounds or not all(rounds):
        yield "it has no samples in a launch or a round"
        return
    if min(map(min, rounds)) <= 0 or max(map(max, rounds)) > _LONGEST_NS:
        yield "it has a sample that is no time of an inference"
        return
    found = summarize(latency.samples_ns)
    if latency.minimum_ns != found.minimum_ns:
        yield f"its minimum is {latency.minimum_ns} ns, by its samples {found.minimum_ns} ns"
    for name in ("p50_ns", "p90_ns", "p99_ns"):
        told, computed = getattr(latency.percentiles, name), getattr(found.percentiles, name)
        if not isclose(told, computed, rel_tol=_ROUNDING):
            yield f"its {name[:3]} is {told} ns, by its samples {computed} ns"
    if latency.ratio <= 0 or latency.ratio_interval.low <= 0:
        yield "its ratio is not above 0"
    yield from _interval_faults("ratio", latency.ratio_interval)


def _answer_faults(answers: Answers, bundle: BundleInfo) -> Iterator[str]:
    if bundle.data_digest is None:
        yield f"it has answers, but {bundle.name} has no data"
    if answers.accuracy.images > bundle.images:
        yield f"{answers.accuracy.images} images were asked, of {bundle.images}"
    for accuracy in (answers.accuracy, *(entry.accuracy for entry in answers.robustness)):
        yield from _accuracy_faults(accuracy)


def _accuracy_faults(accuracy: Accuracy) -> Iterator[str]:
    images, changed = accuracy.images, accuracy.lost + accuracy.won
    if not (0 <= accuracy.correct <= images > 0 and min(accuracy.lost, accuracy.won) >= 0 and changed <= images):
        yield f"{accuracy.correct} of {images} images are right, {accuracy.lost} lost, {accuracy.won} won"
        return
    if not isclose(accuracy.accuracy, accuracy.correct / images, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
        yield f"its accuracy is {accuracy.accuracy}, by its counts {accuracy.correct / images}"
    points = 100 * (accuracy.won - accuracy.lost) / images
    if not isclose(accuracy.difference_points, points, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
        yield f"its difference is {accuracy.difference_points} points, by its counts {points}"
    yield from _interval_faults("accuracy", accuracy.interval)
    yield from _interval_faults("difference", accuracy.difference_interval)


def _interval_faults(name: str, interval: Interval) -> Iterator[str]:
    if interval.low > interval.high:
        yield f"the interval of its {name} ends before it starts"
